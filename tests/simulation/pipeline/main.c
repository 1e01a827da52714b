/* main.c - simulate-pipeline. */
#include "sim.h"

int main(int argc, char **argv)
{
    return runner_main(&(struct world){"pipeline", world_counters, world_run}, argc, argv);
}
