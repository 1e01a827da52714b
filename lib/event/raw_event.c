/* raw_event.c - one table, walked in both directions. */
#include "event/raw_event.h"

#include "event/avro.h"

enum field_kind {
    FIELD_STRING,   /* a JSON string */
    FIELD_BOOLEAN,  /* true or false */
    FIELD_TEXT,     /* any JSON value, as text */
    FIELD_IDENTITY, /* the nested record */
};

struct field {
    struct str name;
    enum field_kind kind;
};

/* In the order of schemas/raw_event.avsc; `extension` follows. */
static const struct field fields[] = {
    {STR("eventId"), FIELD_STRING},
    {STR("eventVersion"), FIELD_STRING},
    {STR("eventCategory"), FIELD_STRING},
    {STR("eventType"), FIELD_STRING},
    {STR("eventName"), FIELD_STRING},
    {STR("eventRW"), FIELD_STRING},
    {STR("eventTime"), FIELD_STRING},
    {STR("eventSource"), FIELD_STRING},
    {STR("serviceName"), FIELD_STRING},
    {STR("acsRegion"), FIELD_STRING},
    {STR("apiVersion"), FIELD_STRING},
    {STR("requestId"), FIELD_STRING},
    {STR("requestParameters"), FIELD_TEXT},
    {STR("requestParameterJson"), FIELD_STRING},
    {STR("responseElements"), FIELD_TEXT},
    {STR("referencedResources"), FIELD_TEXT},
    {STR("resourceType"), FIELD_STRING},
    {STR("resourceName"), FIELD_STRING},
    {STR("errorCode"), FIELD_STRING},
    {STR("errorMessage"), FIELD_STRING},
    {STR("sourceIpAddress"), FIELD_STRING},
    {STR("userAgent"), FIELD_STRING},
    {STR("vpcId"), FIELD_STRING},
    {STR("isGlobal"), FIELD_BOOLEAN},
    {STR("recipientAccountId"), FIELD_STRING},
    {STR("additionalEventData"), FIELD_TEXT},
    {STR("eventAttributes"), FIELD_TEXT},
    {STR("userIdentity"), FIELD_IDENTITY},
};

static const struct field identity_fields[] = {
    {STR("type"), FIELD_STRING},      {STR("principalId"), FIELD_STRING},
    {STR("accountId"), FIELD_STRING}, {STR("accessKeyId"), FIELD_STRING},
    {STR("userName"), FIELD_STRING},  {STR("sessionContext"), FIELD_TEXT},
};

static const unsigned char raw_fingerprint[8] = {0xc8, 0xa8, 0xd2, 0x0a, 0xdc, 0x94, 0x15, 0xbe};

bool raw_event_is_avro(struct str bytes)
{
    return bytes.len >= AVRO_HEADER_SIZE && (unsigned char)bytes.at[0] == 0xC3 &&
           (unsigned char)bytes.at[1] == 0x01;
}

/* ---- Avro to JSON ------------------------------------------------------------------------------ */

struct rendering {
    struct avro_in in;
    struct buf *out;
    struct raw_event_texts *texts;
};

/* A value begins here; its number, for note_end(). Texts are noted in the order of their beginnings. */
static size_t note_begin(struct rendering *r)
{
    CHECK(r->texts->count < RAW_EVENT_TEXTS_MAX);
    r->texts->text[r->texts->count].at = (uint32_t)r->out->len;
    return r->texts->count++;
}

static void note_end(struct rendering *r, size_t number)
{
    r->texts->text[number].len = (uint32_t)r->out->len - r->texts->text[number].at;
}

/* The union ["null", …]: whether a value follows. */
static bool present(struct avro_in *in)
{
    int64_t branch = avro_long(in);

    if (branch != 0 && branch != 1)
        in->bad = true;
    return branch == 1;
}

static void begin_member(struct buf *out, struct str name, bool *first)
{
    if (!*first)
        buf_add_byte(out, ',');
    *first = false;
    buf_add_byte(out, '"');
    buf_add_str(out, name);
    buf_add_str(out, STR("\":"));
}

static void render_record(struct rendering *r, const struct field *table, size_t count);

static void render_value(struct rendering *r, enum field_kind kind)
{
    size_t number;

    switch (kind) {
    case FIELD_STRING:
        buf_add_byte(r->out, '"');
        json_escape(avro_string(&r->in), r->out);
        buf_add_byte(r->out, '"');
        break;
    case FIELD_BOOLEAN:
        buf_add_str(r->out, avro_boolean(&r->in) ? STR("true") : STR("false"));
        break;
    case FIELD_TEXT:
        number = note_begin(r);
        buf_add_str(r->out, str_trim(avro_string(&r->in)));
        note_end(r, number);
        break;
    case FIELD_IDENTITY: /* its extension is a text, too */
        number = note_begin(r);
        render_record(r, identity_fields, ARRAY_LEN(identity_fields));
        note_end(r, number);
        break;
    }
}

/* `extension` is an object's text: its members go beside the others. */
static void render_extension(struct rendering *r, bool first)
{
    struct str text = str_trim(avro_string(&r->in)), inside;

    if (text.len < 2 || text.at[0] != '{' || text.at[text.len - 1] != '}') {
        r->in.bad = true;
        return;
    }
    inside = str_trim(str_of(text.at + 1, text.len - 2));
    if (inside.len && !first)
        buf_add_byte(r->out, ',');
    buf_add_str(r->out, inside);
}

static void render_record(struct rendering *r, const struct field *table, size_t count)
{
    bool first = true;

    buf_add_byte(r->out, '{');
    for (size_t i = 0; i < count && !r->in.bad; i++) {
        if (!present(&r->in))
            continue;
        begin_member(r->out, table[i].name, &first);
        render_value(r, table[i].kind);
    }
    if (!r->in.bad && present(&r->in))
        render_extension(r, first);
    buf_add_byte(r->out, '}');
}

int raw_event_render(struct str avro, struct buf *out, struct raw_event_texts *ret_texts,
                     struct why *reterr_why)
{
    struct rendering r = {.out = out, .texts = ret_texts};
    size_t from = out->len;

    ret_texts->count = 0;
    if (!avro_open(avro, raw_fingerprint, &r.in))
        return why_set(reterr_why, -ERR_INVALID,
                       "no raw event of a schema that this program knows");
    render_record(&r, fields, ARRAY_LEN(fields));
    if (r.in.bad || r.in.p != r.in.end)
        return why_set(reterr_why, -ERR_INVALID, "malformed Avro");
    for (size_t i = 0; i < ret_texts->count; i++)
        ret_texts->text[i].at -= (uint32_t)from;
    return buf_error(out);
}

bool raw_event_texts_whole(const struct raw_event_texts *texts, const struct json *scanned)
{
    uint32_t token = 1;

    for (size_t i = 0; i < texts->count; i++) {
        struct str raw;

        while (token < scanned->count && scanned->tokens[token].at < texts->text[i].at)
            token++;
        if (token < scanned->count && scanned->tokens[token].type == JSON_STRING &&
            scanned->tokens[token].at == texts->text[i].at + 1)
            ; /* a string's slice begins behind its quote */
        else if (token == scanned->count || scanned->tokens[token].at != texts->text[i].at)
            return false;
        raw = json_raw(scanned, token);
        if (raw.len != texts->text[i].len)
            return false;
    }
    return true;
}

/* ---- JSON to Avro ------------------------------------------------------------------------------ */

static bool fits(const struct json *json, uint32_t value, enum field_kind kind)
{
    uint8_t type = json->tokens[value].type;

    switch (kind) {
    case FIELD_STRING:
        return type == JSON_STRING;
    case FIELD_BOOLEAN:
        return type == JSON_TRUE || type == JSON_FALSE;
    case FIELD_IDENTITY:
        return type == JSON_OBJECT;
    default:
        return true;
    }
}

static const struct field *field_find(const struct field *table, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(table[i].name, name))
            return &table[i];
    return NULL;
}

static void encode_record(const struct json *json, uint32_t object, const struct field *table,
                          size_t count, struct buf *out);

static void encode_value(const struct json *json, uint32_t value, enum field_kind kind,
                         struct buf *out)
{
    AUTO_BUF struct buf plain = {0};

    switch (kind) {
    case FIELD_STRING:
        buf_init(&plain, JSON_TEXT_MAX);
        json_unescape(json_slice(json, value), &plain);
        avro_add_string(out, buf_str(&plain));
        if (buf_error(&plain))
            out->error = buf_error(&plain);
        break;
    case FIELD_BOOLEAN:
        avro_add_boolean(out, json->tokens[value].type == JSON_TRUE);
        break;
    case FIELD_TEXT:
        avro_add_string(out, json_raw(json, value));
        break;
    case FIELD_IDENTITY:
        encode_record(json, value, identity_fields, ARRAY_LEN(identity_fields), out);
        break;
    }
}

static void encode_extension(const struct json *json, uint32_t object, const struct field *table,
                             size_t count, struct buf *out)
{
    AUTO_BUF struct buf text = {0};
    uint32_t end = json->tokens[object].next;
    bool first = true;

    buf_init(&text, JSON_TEXT_MAX);
    for (uint32_t key = object + 1; key < end; key = json->tokens[key + 1].next) {
        const struct field *field = field_find(table, count, json_slice(json, key));

        if (field && fits(json, key + 1, field->kind))
            continue;
        buf_add_byte(&text, first ? '{' : ',');
        first = false;
        buf_add_str(&text, json_raw(json, key));
        buf_add_byte(&text, ':');
        buf_add_str(&text, json_raw(json, key + 1));
    }
    avro_add_long(out, first ? 0 : 1);
    if (first)
        return;
    buf_add_byte(&text, '}');
    avro_add_string(out, buf_str(&text));
    if (buf_error(&text))
        out->error = buf_error(&text);
}

static void encode_record(const struct json *json, uint32_t object, const struct field *table,
                          size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t value = json_member(json, object, table[i].name);
        bool has = value && !json->tokens[value - 1].escaped && fits(json, value, table[i].kind);

        avro_add_long(out, has ? 1 : 0);
        if (has)
            encode_value(json, value, table[i].kind, out);
    }
    encode_extension(json, object, table, count, out);
}

int raw_event_encode(const struct json *json, struct buf *out, struct why *reterr_why)
{
    if (json->count == 0 || json->tokens[0].type != JSON_OBJECT)
        return why_set(reterr_why, -ERR_INVALID, "an event is a JSON object");
    avro_add_header(out, raw_fingerprint);
    encode_record(json, 0, fields, ARRAY_LEN(fields), out);
    return buf_error(out);
}
