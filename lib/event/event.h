/* event.h - a normalized event: the envelope that routing, matching and indexing need, and the
 * document, the event's final JSON, which nobody behind the normalizer parses or renders.
 *
 *     raw record --normalizer--> struct event --event_encode()--> bytes on events.<region>, global
 *                                             <--event_decode()--
 *
 * Wire form: Avro single-object encoding (marker C3 01, the CRC-64-AVRO fingerprint of the writer's
 * schema, little endian, then the binary datum) of schemas/event.avsc.
 *
 * Ownership: every slice of a decoded event lies in the record's bytes, or in the arena where a
 *            decode needed one; borrowed for as long as both live.
 * Layer:     pure. DEPS base.
 */
#ifndef EVENT_EVENT_H
#define EVENT_EVENT_H

#include "base/base.h"

#define EVENT_ID_SIZE_MAX      256          /* bytes of an event id */
#define EVENT_ACCOUNT_SIZE_MAX 64           /* bytes of an account id */
#define EVENT_RESOURCES_MAX    64           /* indexed; more stay in the document only */
#define EVENT_ENCODED_SIZE_MAX (960 * 1024) /* below the topics' max.message.bytes, 1 MiB */
#define EVENT_REGION_SIZE_MAX  40           /* bytes of a region; room is kept for as many */

enum event_category {
    EVENT_MANAGEMENT,
    EVENT_INSIGHT,
    EVENT_INNER, /* the provider's own operations team; not eventType AliyunServiceEvent */
};

enum event_rw {
    EVENT_WRITE,
    EVENT_READ,
};

/* What a copy of an event is for. A regional event is for both; a global event's copies in
 * events.<home region> and events.<storage region> say what each is there for. */
enum event_purpose {
    EVENT_FOR_DELIVERY = 1,
    EVENT_FOR_HISTORY = 2,
};

struct event_resource {
    struct str type, name; /* ACS::ECS::Instance, i-… */
};

/* Where the raw record lay: identifies an accepted event for ever, across topics made anew. */
struct event_origin {
    struct str topic, generation; /* raw.<region>, the topic's generation (a UUID) */
    int32_t partition;
    int64_t offset;
};

struct event {
    struct str id;      /* eventId: unique in the account */
    struct str account; /* the owner: recipientAccountId, else userIdentity.accountId */
    struct str region;  /* the topic region: where the event is queried and delivered */
    enum event_category category;
    enum event_rw rw;
    bool global;
    bool sensitive;       /* eventAttributes.SensitiveAction == "true" */
    unsigned purpose;     /* enum event_purpose, or-ed */
    int64_t time_ms;      /* eventTime */
    int64_t received_ms;  /* LogAppendTime of the raw record */
    struct str service;   /* serviceName, as it came */
    struct str name;      /* eventName */
    struct str type;      /* eventType */
    struct str user;      /* userIdentity.userName */
    struct str principal; /* userIdentity.principalId */
    struct str role;      /* role name of an assumed role, else empty */
    struct str access_key;
    struct str source_ip; /* sourceIpAddress; may be a host name or "Internal" */
    struct event_origin origin;
    struct event_resource resources[EVENT_RESOURCES_MAX];
    size_t resource_count;
    struct str document; /* one JSON object, UTF-8, without line breaks outside strings */
};

/* Appends the wire form. -ERR_LIMIT when it would exceed EVENT_ENCODED_SIZE_MAX with the longest of regions:
 * what can be encoded for one region can be for any other. */
MUST_CHECK int event_encode(const struct event *event, struct buf *out);

/* Reads the wire form of this schema. -ERR_INVALID with *reterr_why for any other bytes: a changed schema
 * has another fingerprint, and its program another decoder. */
MUST_CHECK int event_decode(struct str bytes, struct event *ret, struct why *reterr_why);

#endif
