/* processes.h - settings of the workers in this run. */
#ifndef SIMULATION_PROCESSES_H
#define SIMULATION_PROCESSES_H

#include "delivering.h"
#include "normalizing.h"
#include "routing.h"
#include "service.h"
#include "storing.h"

struct settings {
    struct normalizer_config normalizer;
    struct router_config router;
    struct history_config history;
    struct delivery_config delivery;
    struct api_config api;
};

struct settings *processes_settings(void);

#endif
