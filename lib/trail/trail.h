/* trail.h - a trail's settings, version by version, and which of them decide at an offset.
 *
 * A change of a trail is a record of the log that it changes (delivery protocol, rule 2): it lies at
 * one offset in every partition concerned, and the settings in effect at offset o are those of the
 * last version whose change record lies before o (rule 3). No clock, no notification decides.
 *
 *     partition   ... e e e [v1] e e e e [v2] e e ...
 *     settings    - - none - - - v1 v1 v1 v1 v2 v2
 *
 * The document form (trail_version_parse/render) is the value of a `control` entry, key
 * "trail/<id>/<version>", and, without `offsets`, the value of the header `trailbus-change`.
 *
 * Ownership: a struct trail_version owns its strings (one block); trail_version_free().
 * Layer:     pure. DEPS base, crypto, event, jsondoc, topology.
 */
#ifndef TRAIL_TRAIL_H
#define TRAIL_TRAIL_H

#include "base/base.h"
#include "event/event.h"

#define TRAIL_NAME_SIZE_MAX    36
#define TRAIL_REGIONS_MAX      64
#define TRAIL_PARTITIONS_MAX   1024 /* of one topic */
#define TRAIL_TOPICS_MAX       64   /* that one change concerns */
#define TRAIL_ORIGINS_MAX      1024 /* of one destination: one a life of each topic */
#define TRAIL_DOUBTS_MAX       1024 /* versions that could not be read */
#define TRAIL_DESTINATIONS_MAX 4096 /* destination generations of one trail that are still alive */
#define TRAIL_CHAIN_SIZE       17   /* 16 hex digits and NUL */
#define TRAIL_ID_SIZE          37   /* UUID text and NUL */

/* One partition of a log, as it is now: a topic that was deleted and made again has another generation. */
struct trail_log {
    struct str topic, generation;
    int32_t partition;
};

/* Where a change record lies in a partition, when it is no offset. */
#define TRAIL_OFFSET_UNSEEN (-2) /* not known (yet): the version is not in effect there */

/* Offsets of one change in one topic. A partition at or behind partition_count did not exist at the
 * change: the version holds there from offset 0 (rule 2). */
struct trail_offsets {
    struct str topic;      /* events.<region> or global */
    struct str generation; /* of the topic */
    size_t partition_count;
    int64_t *offsets; /* of the change record in each partition, or TRAIL_OFFSET_UNSEEN */
};

enum trail_rw {
    TRAIL_RW_ALL,
    TRAIL_RW_WRITE,
    TRAIL_RW_READ,
};

/* One life of a destination (rule "chain"): begins behind the change record that made it. */
struct trail_destination {
    int64_t number;                /* destination generation: 1, 2, … */
    int64_t version;               /* of the trail, whose change record it begins behind */
    struct str bucket, prefix;     /* prefix may be empty */
    struct trail_offsets *origins; /* the change records' offsets, one entry a topic; the origin of
                                      a stream is offset + 1, or 0 for a partition added later */
    size_t origin_count;
};

struct trail_version {
    struct str id;   /* UUID, given at birth: a name can be used again */
    int64_t version; /* 1 at birth, +1 each change */
    struct str account, name;
    struct str home_region;
    struct str regions; /* TrailRegion: "All", or region ids separated by commas */
    enum trail_rw rw;
    bool organization;
    bool logging;      /* StartLogging came after the last StopLogging */
    bool started_ever; /* false: DescribeTrails says Fresh */
    bool deleted;
    int64_t created_s, updated_s, started_s, stopped_s; /* seconds; 0: never */
    struct str request;                     /* id of the API call that made this version */
    struct trail_destination *destinations; /* the current one is the last; older ones only while a
                                               partition may still hold events of theirs */
    size_t destination_count;
    struct trail_offsets *offsets; /* of this version's change records; none in a change record */
    size_t offset_count;
    void *block; /* what owns the strings */
};

MUST_CHECK int trail_version_parse(struct str json, struct trail_version **ret,
                                   struct why *reterr_why);
/* Renders; `with_offsets` is false in a change record, whose offset nobody knows yet. */
MUST_CHECK int trail_version_render(const struct trail_version *version, bool with_offsets,
                                    struct buf *out);
void trail_version_free(struct trail_version *version);
AUTO_DEFINE(struct trail_version, trail_version_free)

static inline const struct trail_destination *
trail_version_destination(const struct trail_version *v)
{
    return v->destination_count ? &v->destinations[v->destination_count - 1] : NULL;
}

/* Whether these settings want the event delivered by `region`'s worker: logging, not deleted, the
 * account, read/write, TrailRegion; a global event only in the home region; a management event (or
 * an insight event) meant for delivery. NULL settings want nothing. */
bool trail_wants(const struct trail_version *settings, const struct event *event,
                 struct str region);

/* Fresh (never started), Enable or Disable: the words of DescribeTrails. */
struct str trail_status_name(const struct trail_version *version);

/* Whether a TrailRegion ("All", or ids separated by commas) covers a region. */
bool trail_region_covered(struct str regions, struct str region);

/* chain = the first 16 hex digits of SHA-256("<trail id>/<destination number>/<topic generation>"):
 * one life of one destination of one trail on one topic. */
void trail_chain(struct str trail_id, int64_t destination, struct str topic_generation,
                 char ret[TRAIL_CHAIN_SIZE]);

/* ---- all known versions of all trails ---------------------------------------------------------- */

/* Versions by trail and by account, as `control` and the change records tell them. */
struct trail_book;
struct trail_book *trail_book_new(void); /* NULL without memory */
void trail_book_free(struct trail_book *book);
AUTO_DEFINE(struct trail_book, trail_book_free)

/* Takes ownership of `version`, an entry of `control`. 1 when it was new, 0 when it was known (offsets that
 * were unseen are filled in), -ERR_CONFLICT when it contradicts what is known, -ERR_NOMEM. */
MUST_CHECK int trail_book_add(struct trail_book *book, struct trail_version *version,
                              struct why *reterr_why);

/* Takes ownership of `version`, met as a change record at `offset` of `log`. 1 when it was new
 * there, 0 when exactly that was known, -ERR_CONFLICT when it contradicts (rule 3's assertion). */
MUST_CHECK int trail_book_change(struct trail_book *book, struct trail_version *version,
                                 const struct trail_log *log, int32_t partition_count,
                                 int64_t offset, struct why *reterr_why);

/* A version of a trail could not be read, so that nobody knows which settings hold where: nothing of it is delivered,
 * until the version can be read, or does not matter any more (trail_book_trust()). -ERR_LIMIT, -ERR_NOMEM. */
MUST_CHECK int trail_book_doubt(struct trail_book *book, struct str id, int64_t version);
void trail_book_trust(struct trail_book *book, struct str id, int64_t version);
bool trail_book_doubts(const struct trail_book *book, struct str id);
/* One after the other; start with 0; false after the last. The id is of any form. */
bool trail_book_doubt_at(const struct trail_book *book, size_t i, struct str *ret_id,
                         int64_t *ret_version);

struct trail;
/* Trails of an account, in order of birth; NULL after the last. Start with NULL. Costs nothing for
 * other accounts' trails. */
const struct trail *trail_book_next(const struct trail_book *book, struct str account,
                                    const struct trail *after);
const struct trail *trail_book_find(const struct trail_book *book, struct str id);
const struct trail *trail_book_all(const struct trail_book *book, const struct trail *after);
struct str trail_id(const struct trail *trail);
const struct trail_version *trail_latest(const struct trail *trail); /* never NULL */
/* All its known versions, oldest first. */
size_t trail_version_count(const struct trail *trail);
const struct trail_version *trail_version_at(const struct trail *trail, size_t i);

/* The settings in effect at `offset`; NULL before birth (rule 3). In a log that began after a version was made,
 * that version holds from the start, up to the first change record that lies there. */
const struct trail_version *trail_at(const struct trail *trail, const struct trail_log *log,
                                     int64_t offset);
/* The first offset at which the i-th version is in effect: behind its change record, or 0 in a log that began later.
 * False when it never is: not concerned, or its record was not seen yet. */
bool trail_from(const struct trail *trail, size_t i, const struct trail_log *log,
                int64_t *ret_first);
/* Where the chain of a destination begins in a log. False when it has none there. */
bool trail_origin(const struct trail *trail, int64_t destination, const struct trail_log *log,
                  int64_t *ret_first);

#endif
