/* topology.c - the table of topics. */
#include "topology/topology.h"

#include <stdio.h>

#define RECORD_BYTES_MAX        (1024 * 1024)
/* A rejected record is the whole raw one, and headers. */
#define REJECTED_BYTES_MAX      (2 * RECORD_BYTES_MAX)
/* Compaction leaves the last segment alone, and whoever is given partitions reads all of the log. */
#define POSITIONS_SEGMENT_BYTES (8 << 20)

static const struct {
    const char *name;
    struct topic_settings settings;
} topics[TOPIC_KIND_COUNT] = {
    [TOPIC_RAW] = {"raw", {true, false, 7 * TOPIC_DAY_MS, RECORD_BYTES_MAX, 0}},
    [TOPIC_EVENTS] = {"events", {true, false, 7 * TOPIC_DAY_MS, RECORD_BYTES_MAX, 0}},
    [TOPIC_REJECTED] = {"rejected", {true, false, 30 * TOPIC_DAY_MS, REJECTED_BYTES_MAX, 0}},
    [TOPIC_NOTIFICATIONS] = {"notifications", {true, false, 7 * TOPIC_DAY_MS, RECORD_BYTES_MAX, 0}},
    [TOPIC_GLOBAL] = {"global", {false, false, 7 * TOPIC_DAY_MS, RECORD_BYTES_MAX, 0}},
    [TOPIC_CONTROL] = {"control", {false, true, -1, RECORD_BYTES_MAX, 0}},
    [TOPIC_POSITIONS] = {"positions", {false, true, -1, RECORD_BYTES_MAX, POSITIONS_SEGMENT_BYTES}},
};

bool region_valid(struct str region)
{
    if (region.len == 0 || region.len > REGION_SIZE_MAX)
        return false;
    for (size_t i = 0; i < region.len; i++) {
        char c = region.at[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return true;
}

struct topic_name topic_name(enum topic_kind kind, struct str region)
{
    struct topic_name name;

    CHECK(kind < TOPIC_KIND_COUNT);
    if (topics[kind].settings.regional) {
        CHECK(region_valid(region));
        (void)snprintf(name.text, sizeof(name.text), "%s." STR_FMT, topics[kind].name,
                       STR_ARG(region));
    } else {
        (void)snprintf(name.text, sizeof(name.text), "%s", topics[kind].name);
    }
    return name;
}

bool topic_parse(struct str name, enum topic_kind *ret_kind, struct str *ret_region)
{
    struct str rest = name, first;

    if (!str_split(&rest, '.', &first))
        return false;
    for (int kind = 0; kind < TOPIC_KIND_COUNT; kind++) {
        if (!str_eq(first, str_from(topics[kind].name)))
            continue;
        if (topics[kind].settings.regional ? !region_valid(rest) : rest.at != NULL)
            return false;
        *ret_kind = (enum topic_kind)kind;
        *ret_region = rest;
        return true;
    }
    return false;
}

const struct topic_settings *topic_settings(enum topic_kind kind)
{
    CHECK(kind < TOPIC_KIND_COUNT);
    return &topics[kind].settings;
}

void group_name(struct str worker, struct str region, char ret[GROUP_NAME_SIZE])
{
    (void)snprintf(ret, GROUP_NAME_SIZE, "trailbus." STR_FMT "%s" STR_FMT, STR_ARG(worker),
                   region.len ? "." : "", STR_ARG(region));
}
