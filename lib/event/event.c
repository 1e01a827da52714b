/* event.c - schemas/event.avsc, field by field, in its order. */
#include "event/event.h"

#include "event/avro.h"

/* CRC-64-AVRO of the schema's parsing canonical form, little endian; a test computes it anew. */
static const unsigned char event_fingerprint[8] = {0x83, 0x7f, 0x47, 0x5c, 0x86, 0xf2, 0xba, 0x68};

int event_encode(const struct event *e, struct buf *out)
{
    size_t from = out->len;

    CHECK(e->resource_count <= EVENT_RESOURCES_MAX);
    avro_add_header(out, event_fingerprint);
    avro_add_string(out, e->id);
    avro_add_string(out, e->account);
    avro_add_string(out, e->region);
    avro_add_long(out, e->category);
    avro_add_long(out, e->rw);
    avro_add_boolean(out, e->global);
    avro_add_boolean(out, e->sensitive);
    avro_add_long(out, e->purpose);
    avro_add_long(out, e->time_ms);
    avro_add_long(out, e->received_ms);
    avro_add_string(out, e->service);
    avro_add_string(out, e->name);
    avro_add_string(out, e->type);
    avro_add_string(out, e->user);
    avro_add_string(out, e->principal);
    avro_add_string(out, e->role);
    avro_add_string(out, e->access_key);
    avro_add_string(out, e->source_ip);
    avro_add_string(out, e->origin.topic);
    avro_add_string(out, e->origin.generation);
    avro_add_long(out, e->origin.partition);
    avro_add_long(out, e->origin.offset);
    if (e->resource_count)
        avro_add_long(out, (int64_t)e->resource_count);
    for (size_t i = 0; i < e->resource_count; i++) {
        avro_add_string(out, e->resources[i].type);
        avro_add_string(out, e->resources[i].name);
    }
    avro_add_long(out, 0); /* the array's last block */
    avro_add_string(out, e->document);
    if (buf_error(out))
        return buf_error(out);
    if (e->region.len > EVENT_REGION_SIZE_MAX)
        return -ERR_LIMIT;
    return out->len - from + EVENT_REGION_SIZE_MAX - e->region.len <= EVENT_ENCODED_SIZE_MAX
               ? 0
               : -ERR_LIMIT;
}

/* An array may come in blocks, and a block may be preceded by its size in bytes (a negative count). */
static void decode_resources(struct avro_in *in, struct event *ret)
{
    ret->resource_count = 0;
    while (!in->bad) {
        int64_t count = avro_long(in);

        if (count == 0)
            return;
        if (count < 0) {
            (void)avro_long(in);
            count = count == INT64_MIN ? INT64_MAX : -count;
        }
        for (; count > 0 && !in->bad; count--) {
            struct event_resource resource;

            resource.type = avro_string(in);
            resource.name = avro_string(in);
            if (ret->resource_count == EVENT_RESOURCES_MAX)
                in->bad = true;
            else
                ret->resources[ret->resource_count++] = resource;
        }
    }
}

int event_decode(struct str bytes, struct event *ret, struct why *reterr_why)
{
    struct avro_in in;
    int64_t category, rw;
    int32_t purpose;

    if (!avro_open(bytes, event_fingerprint, &in))
        return why_set(reterr_why, -ERR_INVALID,
                       "no event of a schema that this program knows (%zu bytes)", bytes.len);
    ret->id = avro_string(&in);
    ret->account = avro_string(&in);
    ret->region = avro_string(&in);
    category = avro_long(&in);
    rw = avro_long(&in);
    ret->global = avro_boolean(&in);
    ret->sensitive = avro_boolean(&in);
    purpose = avro_int(&in);
    ret->time_ms = avro_long(&in);
    ret->received_ms = avro_long(&in);
    ret->service = avro_string(&in);
    ret->name = avro_string(&in);
    ret->type = avro_string(&in);
    ret->user = avro_string(&in);
    ret->principal = avro_string(&in);
    ret->role = avro_string(&in);
    ret->access_key = avro_string(&in);
    ret->source_ip = avro_string(&in);
    ret->origin.topic = avro_string(&in);
    ret->origin.generation = avro_string(&in);
    ret->origin.partition = avro_int(&in);
    ret->origin.offset = avro_long(&in);
    decode_resources(&in, ret);
    ret->document = avro_string(&in);
    if (in.bad || in.p != in.end || category < 0 || category > EVENT_INNER || rw < 0 ||
        rw > EVENT_READ || purpose < 0)
        return why_set(reterr_why, -ERR_INVALID, "a malformed event (%zu bytes)", bytes.len);
    ret->category = (enum event_category)category;
    ret->rw = (enum event_rw)rw;
    ret->purpose = (unsigned)purpose;
    return 0;
}
