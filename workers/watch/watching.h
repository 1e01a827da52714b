/* watching.h - the watch's shell: its settings, and what runs until the daemon is told to end.
 *
 * Layer: I/O.
 */
#ifndef WATCH_WATCHING_H
#define WATCH_WATCHING_H

#include "config/common.h"
#include "daemon/daemon.h"

struct watch_section {
    struct str account;
    int64_t look_ms, after_ms, canary_period_ms, stall_after_ms, retention_ms, loss_warning_ms;
};

struct watch_config {
    struct bus_section bus;
    struct state_section state;
    struct topology_section topology;
    struct security_section security;
    struct config_groups destinations;
    struct history_section history;
    struct watch_section watch;
};

/* A daemon_program's run; `config` is a struct watch_config. */
int watching(struct daemon *daemon, void *config);

#endif
