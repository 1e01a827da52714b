/* storing.h - history's shell: its settings, and what runs until the daemon is told to end.
 *
 * Layer: I/O. Many may run in one process, each in a daemon of its own.
 */
#ifndef HISTORY_STORING_H
#define HISTORY_STORING_H

#include "config/common.h"
#include "daemon/daemon.h"

struct history_config {
    struct bus_section bus;
    struct state_section state;
    struct history_section history;
};

/* A daemon_program's run; `config` is a struct history_config. */
int storing(struct daemon *daemon, void *config);

#endif
