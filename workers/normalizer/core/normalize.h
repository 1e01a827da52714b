/* normalize.h - one raw record in, one verdict out.
 *
 *     raw record --normalize()--> an event for events.<region> or global
 *                                 | rejected: why it can never be an event
 *                                 | dropped: an event that the trail does not record
 *
 * The same record always gets the same verdict: time is the record's own LogAppendTime, and ids come from
 * its origin. The document is rendered here, once: what came in is copied token by token, in its
 * order, but for masked secrets; what was missing is added behind it. Normalizing a document again changes
 * nothing.
 *
 * Whether a record is a duplicate is window.h's question.
 *
 * Layer: core. No I/O, clock or randomness.
 */
#ifndef NORMALIZER_CORE_NORMALIZE_H
#define NORMALIZER_CORE_NORMALIZE_H

#include "base/base.h"
#include "catalog/catalog.h"
#include "event/event.h"
#include "event/raw_event.h"

#define NORMALIZE_REGIONS_MAX 48

enum normalize_outcome {
    NORMALIZED,
    /* rejected: the bytes are kept, an operator can look at them and send them again */
    REJECTED_TOO_LARGE,       /* over RAW_EVENT_SIZE_MAX, or over EVENT_ENCODED_SIZE_MAX rendered */
    REJECTED_MALFORMED,       /* no JSON, no Avro of ours, a key twice, no object */
    REJECTED_MISSING_FIELD,   /* eventName, eventTime, serviceName, or an owner */
    REJECTED_INVALID_FIELD,   /* of the wrong type or form */
    REJECTED_TIME_RANGE,      /* eventTime too far ahead of, or behind, the record's arrival */
    REJECTED_UNKNOWN_SERVICE, /* only where settings say so */
    REJECTED_UNKNOWN_REGION,  /* only where settings say so */
    REJECTED_CONFLICT,        /* an id that came before with other bytes (from window.h) */
    /* dropped: counted, not kept */
    DROPPED_DATA_EVENT,
    DROPPED_UNSUPPORTED_REGION,
    DROPPED_DUPLICATE, /* (from window.h) */
    NORMALIZE_OUTCOME_COUNT,
};

/* "normalized", "too_large", …: in headers, counters and logs. */
const char *normalize_outcome_name(enum normalize_outcome outcome);
static inline bool normalize_rejects(enum normalize_outcome outcome)
{
    return outcome >= REJECTED_TOO_LARGE && outcome <= REJECTED_CONFLICT;
}

struct normalize_settings {
    const struct catalog *catalog;
    struct str region; /* whose raw topic is read */
    struct str deployed[NORMALIZE_REGIONS_MAX];
    size_t deployed_count;
    int64_t ahead_max_ms, behind_max_ms; /* of eventTime against arrival */
    bool reject_unknown_service, reject_unknown_region;
};

struct normalize_input {
    struct str bytes;
    bool json;           /* the record's content type says so; else Avro */
    int64_t received_ms; /* LogAppendTime */
    struct event_origin origin;
};

struct normalize_result {
    enum normalize_outcome outcome;
    struct str id,
        account;   /* when the record could be read that far; borrowed until the next call */
    bool id_given; /* the sender's, not derived from the origin */
    bool global;
    struct str region; /* target: events.<region>, unless global */
    struct str event;  /* encoded, empty unless NORMALIZED; borrowed until the next call */
    struct why why;    /* of a rejection */
    unsigned unknown_service : 1, unknown_region : 1; /* passed, to be counted */
};

/* Scratch memory, reused record after record. */
struct normalizer;
struct normalizer *normalizer_new(const struct normalize_settings *settings); /* NULL: no memory */
void normalizer_free(struct normalizer *normalizer);
AUTO_DEFINE(struct normalizer, normalizer_free)

/* Reads a finished document back: the envelope that normalize() gave it, but for region, receipt and origin, which it does not tell.
 * Nothing is judged any more: what was recorded once is an event, whatever the catalog says today. Borrowed
 * until the next call, and from the document. -ERR_INVALID: it is none of ours; -ERR_NOMEM. */
MUST_CHECK int normalize_read_back(struct normalizer *normalizer, struct str document,
                                   struct event *ret, struct why *reterr_why);

/* 0, whatever the record holds; -ERR_NOMEM. */
MUST_CHECK int normalize(struct normalizer *normalizer, const struct normalize_input *in,
                         struct normalize_result *ret);

#endif
