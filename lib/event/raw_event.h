/* raw_event.h - what a service submits, as JSON and as Avro (schemas/raw_event.avsc): two spellings of
 * one thing.
 *
 *     JSON --raw_event_encode()--> Avro --raw_event_render()--> JSON
 *
 * The known members have a field each; free-form objects travel as JSON text; a member that the schema
 * does not know, or whose value is of another type than it says, travels in `extension` and comes out as
 * it went in. So nothing is lost, and the normalizer knows one form only.
 *
 * Layer: pure. DEPS base, json.
 */
#ifndef EVENT_RAW_EVENT_H
#define EVENT_RAW_EVENT_H

#include "base/base.h"
#include "json/json.h"

#define RAW_EVENT_SIZE_MAX  (256 * 1024)
#define RAW_EVENT_TEXTS_MAX 16 /* JSON texts in one Avro event */

/* Where values made of JSON texts stand in a rendered event: each must be one value, which only a scan can
 * tell. */
struct raw_event_texts {
    struct {
        uint32_t at, len;
    } text[RAW_EVENT_TEXTS_MAX];
    size_t count;
};

/* Whether the bytes claim to be a raw event in Avro (of any schema). */
bool raw_event_is_avro(struct str bytes);

/* Appends the JSON text of an Avro raw event. -ERR_INVALID, -ERR_LIMIT of `out`. */
MUST_CHECK int raw_event_render(struct str avro, struct buf *out, struct raw_event_texts *ret_texts,
                                struct why *reterr_why);
/* After scanning what raw_event_render() wrote: whether each JSON text in it was one value. Else somebody
 * put a comma into one, and members where none belong. */
bool raw_event_texts_whole(const struct raw_event_texts *texts, const struct json *scanned);

/* Appends the Avro form of a scanned JSON object. -ERR_INVALID when the root is no object. */
MUST_CHECK int raw_event_encode(const struct json *json, struct buf *out, struct why *reterr_why);

#endif
