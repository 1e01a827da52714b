/* rejects.h - records of rejected.<region>: their names, a choice of them, and which were published again.
 *
 *     rejected.cn-hangzhou-3-1234      topic, partition, offset
 *
 * Behind a record that was published again lies a note in the same partition: an empty record whose header
 * trailbus-retried is that name. Being younger it stays as long as its record does, and whoever reads a partition from
 * the record to the end knows of it.
 *
 * Ownership: what a rejects_* call fills is the caller's, to be released with the _done() of its type.
 * Layer:     I/O, but for reject_* and offsets_*. DEPS base, bus, topology.
 */
#ifndef CLI_REJECTS_H
#define CLI_REJECTS_H

#include "bus/bus.h"
#include "cli/deployment.h"

#define REJECT_ID_SIZE 128 /* with NUL */

struct reject_id {
    struct str region; /* a slice of what was parsed */
    int32_t partition;
    int64_t offset;
};

/* False when it is no name of a rejected record. */
bool reject_id_parse(struct str text, struct reject_id *ret);
void reject_id_format(const struct topic_name *topic, int32_t partition, int64_t offset,
                      char ret[REJECT_ID_SIZE]);

/* For why_set(), with the text. */
#define REJECT_ID_WRONG "\"%s\" is no rejected record, as rejected.cn-hangzhou-3-1234 is"
#define REJECT_MISSING  "there is no record %s: `trailctl rejected list` shows which there are"

/* `at` NULL: any. Times are those of arrival in raw, in milliseconds: [since_ms, until_ms). */
struct reject_filter {
    struct str reason, account;
    int64_t since_ms, until_ms;
};
#define REJECT_ANY ((struct reject_filter){.until_ms = INT64_MAX})

bool reject_matches(const struct reject_filter *filter, struct str reason, struct str account,
                    int64_t received_ms);

/* Offsets of a partition. */
struct offsets {
    int64_t *at;
    size_t count, cap;
};
MUST_CHECK int offsets_add(struct offsets *offsets, int64_t offset); /* -ERR_NOMEM */
void offsets_sort(struct offsets *offsets);                          /* and each once */
bool offsets_has(const struct offsets *sorted, int64_t offset);
void offsets_subtract(struct offsets *sorted, const struct offsets *taken); /* both sorted */
void offsets_newest(struct offsets *sorted, size_t count);                  /* drops the others */
void offsets_done(struct offsets *offsets);

/* ---- the log ----------------------------------------------------------------------------------- */

struct rejects {
    const struct deployment *deployment;
    struct topic_name topic;
    struct bus_admin *admin;
    int32_t partitions;
};

/* -ERR_NOT_FOUND when there is no such topic. To be closed also on an error. */
MUST_CHECK int rejects_open(const struct deployment *deployment, struct str region,
                            struct rejects *ret, struct why *reterr_why);
void rejects_close(struct rejects *rejects);
static inline void auto_rejects_close(struct rejects *rejects)
{
    rejects_close(rejects);
}
#define AUTO_REJECTS __attribute__((cleanup(auto_rejects_close)))

/* What the options say; both leave the cli noted as misused when they make no sense. */
#define REJECT_FILTER_OPTIONS                                                                      \
    {"region", "REGION", "else the first of the configuration", false},                            \
        {"reason", "REASON", "rejected for this, as malformed", false},                            \
        {"account", "ACCOUNT", "published with this key, as producers do", false},                 \
        {"since", "TIME", "published then or later: 2026-11-23T08:00:00Z, 2026-11-23, -2h",        \
         false},                                                                                   \
    {                                                                                              \
        "until", "TIME", "published before", false                                                 \
    }
MUST_CHECK int rejects_region(struct cli *cli, const struct deployment *deployment, struct str *ret,
                              struct why *reterr_why);
MUST_CHECK int rejects_filter(struct cli *cli, struct reject_filter *ret, struct why *reterr_why);

/* What lies in a partition from an offset on; both sorted. Start with a zeroed one. */
struct reject_scan {
    struct offsets found;   /* records that the filter lets pass, published again or not */
    struct offsets retried; /* records of which a note says so */
};
void reject_scan_done(struct reject_scan *scan);

/* Forgets what the scan had. Says on standard error how far it is when it takes long. */
MUST_CHECK int rejects_scan(const struct rejects *rejects, int32_t partition, int64_t from,
                            const struct reject_filter *filter, struct reject_scan *ret,
                            struct why *reterr_why);
/* `each` gets the records of these offsets (sorted), as far as they are there; what it returns below 0 ends it. */
MUST_CHECK int rejects_read(const struct rejects *rejects, int32_t partition,
                            const struct offsets *wanted,
                            int (*each)(void *arg, const struct bus_record *record), void *arg,
                            struct why *reterr_why);

/* When the record came to raw, in milliseconds. */
int64_t reject_received_ms(const struct bus_record *record);

#endif
