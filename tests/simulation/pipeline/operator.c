/* operator.c - trailctl topics apply, with more partitions than there are: production's command and its pen. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/deployment.h"
#include "sim.h"

void operator_mute(bool mute)
{
    static FILE *said, *nowhere;

    if (!said)
        said = stdout;
    if (!nowhere)
        nowhere = fopen("/dev/null", "we");
    CHECK(nowhere);
    stdout = mute ? nowhere : said;
}

/* Nobody reads a file here. */
const struct option_spec bus_options[] = {OPTIONS_END}, state_options[] = {OPTIONS_END},
                         topology_options[] = {OPTIONS_END}, security_options[] = {OPTIONS_END};

int config_load(const char *path, const struct config_section *sections, void *target,
                struct config **ret, struct why *reterr_why)
{
    struct deployment_config *config = target;

    (void)path, (void)sections, (void)reterr_why;
    *config = (struct deployment_config){.topology = sim->topology};
    config->topology.partitions = sim->partitions;
    config->topology.replication = 1;
    *ret = NULL;
    return 0;
}

void config_free(struct config *config)
{
    (void)config;
}

int operator_run(void)
{
    struct cli cli = {.command = topics_commands};
    struct why why = {0};
    int r = cli.command->run(&cli, &why);

    trace("topics apply: %s%s", err_name(r), why.text);
    return r;
}
