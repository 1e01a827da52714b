/* normalizing.h - the normalizer's shell: its settings, and what runs until the daemon is told to end.
 *
 * Layer: I/O. Many may run in one process, each in a daemon of its own.
 */
#ifndef NORMALIZER_NORMALIZING_H
#define NORMALIZER_NORMALIZING_H

#include "catalog/catalog.h"
#include "config/common.h"
#include "daemon/daemon.h"

struct normalizer_section {
    int64_t window_events, window_ms, ahead_max_ms, behind_max_ms;
    bool reject_unknown_service, reject_unknown_region;
};

struct normalizer_config {
    struct bus_section bus;
    struct state_section state;
    struct topology_section topology;
    struct catalog_section catalog;
    struct normalizer_section normalizer;
};

/* A daemon_program's run; `config` is a struct normalizer_config. */
int normalizing(struct daemon *daemon, void *config);

/* The built-in catalog with catalog.file laid over it; free with catalog_free(). */
MUST_CHECK int normalizing_catalog(const struct normalizer_config *config, struct catalog **ret,
                                   struct why *reterr_why);

#endif
