/* trailbus-router: settings and program; what it does is said in routing.c. */
#include "routing.h"
#include "state/state.h"

static const struct config_section sections[] = {
    SECTION_BUS(struct router_config, bus),
    SECTION_STATE(struct router_config, state),
    SECTION_TOPOLOGY(struct router_config, topology),
    SECTIONS_END,
};

static int check(void *config, struct str region, struct why *reterr_why)
{
    const struct router_config *c = config;
    int r = topology_check(&c->topology, reterr_why);

    (void)region;
    return r < 0 ? r : state_check(c->state.redis, reterr_why);
}

int main(int argc, char **argv)
{
    static struct router_config config;

    return daemon_main(argc, argv,
                       &(struct daemon_program){
                           .name = "trailbus-router",
                           .worker = "router",
                           .summary = "sends global events to their trails' home regions and to "
                                      "the storage region, once each",
                           .sections = sections,
                           .config = &config,
                           .run = routing,
                           .check = check,
                       });
}
