/* encoder.h - an event as a service has it, made ready for its topic.
 *
 *     struct trailbus_event --encoder_render()--> JSON --encoder_encode()--> key, id, Avro
 *
 * Ownership: results are slices of the encoder's memory (or of the text given), until its next call.
 * Threads:   one at a time.
 */
#ifndef PRODUCERS_ENCODER_H
#define PRODUCERS_ENCODER_H

#include "event/raw_event.h"
#include "trailbus/producer.h"

struct encoder {
    struct json json;    /* the event */
    struct buf text;     /* … with an id put in */
    struct buf rendered; /* … from its members */
    struct buf avro;     /* the record's value */
    struct arena *arena; /* texts with escapes resolved */
};

struct encoded {
    struct str account; /* the record's key: the owner, as the normalizer finds it; may be empty */
    struct str id;      /* eventId; empty when it is no text */
    struct str avro;
};

MUST_CHECK int encoder_init(struct encoder *encoder); /* -ERR_NOMEM */
void encoder_done(struct encoder *encoder);

/* The JSON of an event given by its members. -ERR_INVALID when a required one is missing, a text is not
 * UTF-8, or a JSON text is not one value; -ERR_LIMIT, -ERR_NOMEM. */
MUST_CHECK int encoder_render(struct encoder *encoder, const struct trailbus_event *event,
                              struct str *ret_text, struct why *reterr_why);

/* -ERR_INVALID when the text is not one JSON object, -ERR_LIMIT over RAW_EVENT_SIZE_MAX, -ERR_NOMEM. */
MUST_CHECK int encoder_encode(struct encoder *encoder, struct str text, struct encoded *ret,
                              struct why *reterr_why);

#endif
