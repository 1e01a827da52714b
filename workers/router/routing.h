/* routing.h - the router's shell: its settings, and what runs until the daemon is told to end.
 *
 * Layer: I/O. Many may run in one process, each in a daemon of its own.
 */
#ifndef ROUTER_ROUTING_H
#define ROUTER_ROUTING_H

#include "config/common.h"
#include "daemon/daemon.h"

struct router_config {
    struct bus_section bus;
    struct state_section state;
    struct topology_section topology;
};

/* A daemon_program's run; `config` is a struct router_config. */
int routing(struct daemon *daemon, void *config);

#endif
