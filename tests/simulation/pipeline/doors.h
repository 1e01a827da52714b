/* doors.h - what bus.c and producing.c share. */
#ifndef SIMULATION_DOORS_H
#define SIMULATION_DOORS_H

#include "kafka.h"

/* A request on its way to the brokers. 0; -ERR_TIMEOUT: they are away for too long; -ERR_BUG: dead. */
int bus_reach(int timeout_ms);
bool consumer_may_commit(const struct bus_consumer *consumer);
struct group *consumer_group(const struct bus_consumer *consumer);

#endif
