/* trailbus-history: settings and program; what it does is said in storing.c. */
#include "state/state.h"
#include "storing.h"

static const struct config_section sections[] = {
    SECTION_BUS(struct history_config, bus),
    SECTION_STATE(struct history_config, state),
    SECTION_HISTORY(struct history_config, history),
    SECTIONS_END,
};

static int check(void *config, struct str region, struct why *reterr_why)
{
    const struct history_config *c = config;

    (void)region;
    return state_check(c->state.redis, reterr_why);
}

int main(int argc, char **argv)
{
    static struct history_config config;

    return daemon_main(argc, argv,
                       &(struct daemon_program){
                           .name = "trailbus-history",
                           .worker = "history",
                           .summary = "keeps a region's events of 90 days for queries, once each",
                           .regional = true,
                           .sections = sections,
                           .config = &config,
                           .run = storing,
                           .check = check,
                       });
}
