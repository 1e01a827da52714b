/* delivering.h - delivery's shell: its settings, and what runs until the daemon is told to end.
 *
 * Layer: I/O. Many may run in one process, each in a daemon of its own.
 */
#ifndef DELIVERY_DELIVERING_H
#define DELIVERY_DELIVERING_H

#include "config/common.h"
#include "daemon/daemon.h"

struct delivery_section {
    int64_t flush_age_ms, flush_bytes, memory_bytes, uploads, park_after_ms, retry_first_ms,
        retry_max_ms, retention_ms, progress_ms;
};

struct delivery_config {
    struct bus_section bus;
    struct state_section state;
    struct topology_section topology;
    struct security_section security;
    struct config_groups destinations;
    struct delivery_section delivery;
};

/* A daemon_program's run; `config` is a struct delivery_config. */
int delivering(struct daemon *daemon, void *config);

#endif
