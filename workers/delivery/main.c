/* trailbus-delivery: settings and program; what it does is said in delivering.c. */
#include "crypto/crypto.h"
#include "delivering.h"
#include "objects/objects.h"
#include "state/state.h"

static const struct option_spec delivery_options[] = {
    OPTION_RANGE("flush_age_ms", struct delivery_section, flush_age_ms, "60000", 100, 600000,
                 "An object is written when its first event has waited this long."),
    OPTION_RANGE("flush_bytes", struct delivery_section, flush_bytes, "8000000", 1000, 100000000,
                 "... or when its events have this many bytes."),
    OPTION_RANGE("memory_bytes", struct delivery_section, memory_bytes, "268435456", 1048576,
                 INT64_MAX, "What all buffers together may hold; the largest is written first."),
    OPTION_RANGE("uploads", struct delivery_section, uploads, "32", 1, 128,
                 "Objects written at once."),
    OPTION_RANGE("park_after_ms", struct delivery_section, park_after_ms, "5000", 0, 600000,
                 "A destination that fails for so long is put aside and caught up later."),
    OPTION_RANGE("retry_first_ms", struct delivery_section, retry_first_ms, "100", 1, 60000,
                 "First pause before a request is repeated; it doubles."),
    OPTION_RANGE("retry_max_ms", struct delivery_section, retry_max_ms, "15000", 1, 3600000,
                 "Longest pause."),
    OPTION_RANGE("retention_ms", struct delivery_section, retention_ms, "604800000", 60000,
                 INT64_MAX,
                 "The topics' retention; a buffer older than half of it is read again, and "
                 "written after a quarter."),
    OPTION_RANGE("progress_ms", struct delivery_section, progress_ms, "5000", 100, 600000,
                 "How often progress of quiet trails and offsets are written."),
    OPTIONS_END,
};

static const struct config_section sections[] = {
    SECTION_BUS(struct delivery_config, bus),
    SECTION_STATE(struct delivery_config, state),
    SECTION_TOPOLOGY(struct delivery_config, topology),
    SECTION_SECURITY(struct delivery_config, security),
    SECTION_DESTINATIONS(struct delivery_config, destinations),
    {"delivery", delivery_options, NULL, offsetof(struct delivery_config, delivery),
     "Delivery to object stores."},
    SECTIONS_END,
};

static int check(void *config, struct str region, struct why *reterr_why)
{
    const struct delivery_config *c = config;
    AUTO(objects_free) struct objects *objects = NULL;
    struct crypto_key key;
    int r;

    (void)region;
    r = state_check(c->state.redis, reterr_why);
    if (r == 0)
        r = security_read_key(&c->security, key.bytes, reterr_why);
    crypto_wipe(&key, sizeof(key));
    return r < 0 ? r : objects_open(&c->destinations, &objects, reterr_why);
}

int main(int argc, char **argv)
{
    static struct delivery_config config;

    return daemon_main(argc, argv,
                       &(struct daemon_program){
                           .name = "trailbus-delivery",
                           .worker = "delivery",
                           .summary =
                               "delivers a region's events into each trail's bucket, exactly "
                               "once",
                           .regional = true,
                           .sections = sections,
                           .config = &config,
                           .run = delivering,
                           .check = check,
                       });
}
