/* trailbus-normalizer: settings and program; what it does is said in normalizing.c. */
#include "normalizing.h"
#include "state/state.h"

static const struct option_spec normalizer_options[] = {
    OPTION_RANGE("window_events", struct normalizer_section, window_events, "100000", 1, 10000000,
                 "Events of a partition among which duplicates are recognised."),
    OPTION_RANGE("window_ms", struct normalizer_section, window_ms, "600000", 1, 86400000,
                 "Age up to which duplicates are recognised."),
    OPTION_RANGE("ahead_max_ms", struct normalizer_section, ahead_max_ms, "900000", 0, INT64_MAX,
                 "How far eventTime may lie ahead of the record's arrival."),
    OPTION_RANGE("behind_max_ms", struct normalizer_section, behind_max_ms, "7776000000", 0,
                 INT64_MAX, "How far eventTime may lie back of the record's arrival."),
    OPTION("reject_unknown_service", OPTION_BOOL, struct normalizer_section, reject_unknown_service,
           "false", "Reject events of services that the catalog does not know; else count them."),
    OPTION("reject_unknown_region", OPTION_BOOL, struct normalizer_section, reject_unknown_region,
           "false", "Reject events of regions that the catalog does not know; else count them."),
    OPTIONS_END,
};

static const struct config_section sections[] = {
    SECTION_BUS(struct normalizer_config, bus),
    SECTION_STATE(struct normalizer_config, state),
    SECTION_TOPOLOGY(struct normalizer_config, topology),
    SECTION_CATALOG(struct normalizer_config, catalog),
    {"normalizer", normalizer_options, NULL, offsetof(struct normalizer_config, normalizer),
     "What is accepted."},
    SECTIONS_END,
};

static int check(void *config, struct str region, struct why *reterr_why)
{
    const struct normalizer_config *c = config;
    AUTO(catalog_free) struct catalog *catalog = NULL;
    int r;

    r = topology_check(&c->topology, reterr_why);
    if (r == 0)
        r = state_check(c->state.redis, reterr_why);
    if (r == 0)
        r = normalizing_catalog(c, &catalog, reterr_why);
    for (size_t i = 0; r == 0 && i < c->topology.regions.count; i++)
        if (str_eq(c->topology.regions.at[i], region))
            return 0;
    return r < 0 ? r
                 : why_set(reterr_why, -ERR_CONFIG,
                           "the region " STR_FMT " is not among topology.regions", STR_ARG(region));
}

int main(int argc, char **argv)
{
    static struct normalizer_config config;

    return daemon_main(argc, argv,
                       &(struct daemon_program){
                           .name = "trailbus-normalizer",
                           .worker = "normalizer",
                           .summary = "turns raw events of a region into events, once each",
                           .regional = true,
                           .sections = sections,
                           .config = &config,
                           .run = normalizing,
                           .check = check,
                       });
}
