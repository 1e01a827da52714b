/* trailbus-watch: settings and program; what it does is said in watching.c. */
#include "objects/objects.h"
#include "state/state.h"
#include "watching.h"

static const struct option_spec watch_options[] = {
    OPTION("account", OPTION_STR, struct watch_section, account, "",
           "Account that the canaries are events of, of nobody else's use. Empty: no canaries."),
    OPTION_RANGE("look_ms", struct watch_section, look_ms, "5000", 100, 600000,
                 "How often counts, offsets and ends are looked at."),
    OPTION_RANGE("after_ms", struct watch_section, after_ms, "60000", 1000, 86400000,
                 "A difference between two stages is an alarm when it has lasted this long."),
    OPTION_RANGE("canary_period_ms", struct watch_section, canary_period_ms, "60000", 100, 86400000,
                 "A canary is sent in each region this often."),
    OPTION_RANGE("stall_after_ms", struct watch_section, stall_after_ms, "900000", 1000, 86400000,
                 "A stage that a canary has not reached for so long is an alarm. Longer than "
                 "delivery.flush_age_ms."),
    OPTION_RANGE("retention_ms", struct watch_section, retention_ms, "604800000", 60000, INT64_MAX,
                 "The topics' retention, as in delivery.retention_ms."),
    OPTION_RANGE("loss_warning_ms", struct watch_section, loss_warning_ms, "172800000", 0,
                 INT64_MAX,
                 "An alarm when a record that somebody still has to read leaves its log sooner "
                 "than this."),
    OPTIONS_END,
};

static const struct config_section sections[] = {
    SECTION_BUS(struct watch_config, bus),
    SECTION_STATE(struct watch_config, state),
    SECTION_TOPOLOGY(struct watch_config, topology),
    SECTION_SECURITY(struct watch_config, security),
    SECTION_DESTINATIONS(struct watch_config, destinations),
    SECTION_HISTORY(struct watch_config, history),
    {"watch", watch_options, NULL, offsetof(struct watch_config, watch),
     "What is accounted for, how fresh it is, and alarms."},
    SECTIONS_END,
};

static int check(void *config, struct str region, struct why *reterr_why)
{
    const struct watch_config *c = config;
    AUTO(objects_free) struct objects *objects = NULL;
    int r = topology_check(&c->topology, reterr_why);

    (void)region;
    if (r == 0)
        r = state_check(c->state.redis, reterr_why);
    return r < 0 ? r : objects_open(&c->destinations, &objects, reterr_why);
}

int main(int argc, char **argv)
{
    static struct watch_config config;

    return daemon_main(argc, argv,
                       &(struct daemon_program){
                           .name = "trailbus-watch",
                           .worker = "watch",
                           .summary = "sees that every event is accounted for and how fresh it is, "
                                      "and raises alarms",
                           .sections = sections,
                           .config = &config,
                           .run = watching,
                           .check = check,
                       });
}
