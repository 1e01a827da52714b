/* encoder.c - finds the owner, sees to the id, spells the event in Avro. */
#include "encoder.h"

#include "crypto/crypto.h"

#define RENDERED_SIZE_MAX ((size_t)8 * RAW_EVENT_SIZE_MAX) /* an escape is six bytes for one */

int encoder_init(struct encoder *e)
{
    *e = (struct encoder){0};
    json_init(&e->json);
    buf_init(&e->text, JSON_TEXT_MAX);
    buf_init(&e->rendered, RENDERED_SIZE_MAX);
    buf_init(&e->avro, RAW_EVENT_SIZE_MAX);
    e->arena = arena_new(JSON_TEXT_MAX);
    return e->arena ? 0 : -ERR_NOMEM;
}

void encoder_done(struct encoder *e)
{
    json_done(&e->json);
    buf_done(&e->text);
    buf_done(&e->rendered);
    buf_done(&e->avro);
    arena_free(e->arena);
}

/* ---- from members --------------------------------------------------------------------------------- */

enum member_kind {
    MEMBER_TEXT,
    MEMBER_JSON,
};

struct member {
    struct str name;
    size_t offset; /* in struct trailbus_event */
    enum member_kind kind;
    bool required;
};

#define MEMBER(name, field, ...)                                                                   \
    {                                                                                              \
        STR(name), offsetof(struct trailbus_event, field), __VA_ARGS__                             \
    }

static const struct member members[] = {
    MEMBER("eventId", event_id, MEMBER_TEXT, false),
    MEMBER("eventType", event_type, MEMBER_TEXT, false),
    MEMBER("eventName", event_name, MEMBER_TEXT, true),
    MEMBER("eventRW", event_rw, MEMBER_TEXT, false),
    MEMBER("eventTime", event_time, MEMBER_TEXT, true),
    MEMBER("eventSource", event_source, MEMBER_TEXT, false),
    MEMBER("serviceName", service_name, MEMBER_TEXT, true),
    MEMBER("acsRegion", acs_region, MEMBER_TEXT, false),
    MEMBER("apiVersion", api_version, MEMBER_TEXT, false),
    MEMBER("requestId", request_id, MEMBER_TEXT, false),
    MEMBER("sourceIpAddress", source_ip_address, MEMBER_TEXT, false),
    MEMBER("userAgent", user_agent, MEMBER_TEXT, false),
    MEMBER("vpcId", vpc_id, MEMBER_TEXT, false),
    MEMBER("errorCode", error_code, MEMBER_TEXT, false),
    MEMBER("errorMessage", error_message, MEMBER_TEXT, false),
    MEMBER("recipientAccountId", account_id, MEMBER_TEXT, true),
    MEMBER("requestParameters", request_parameters, MEMBER_JSON, false),
    MEMBER("responseElements", response_elements, MEMBER_JSON, false),
    MEMBER("referencedResources", referenced_resources, MEMBER_JSON, false),
    MEMBER("additionalEventData", additional_event_data, MEMBER_JSON, false),
};

static const struct member identity_members[] = {
    MEMBER("type", user_type, MEMBER_TEXT, false),
    MEMBER("principalId", user_principal_id, MEMBER_TEXT, false),
    MEMBER("accountId", user_account_id, MEMBER_TEXT, false),
    MEMBER("accessKeyId", user_access_key_id, MEMBER_TEXT, false),
    MEMBER("userName", user_name, MEMBER_TEXT, false),
};

static void begin_member(struct buf *out, struct str name)
{
    if (out->at[out->len - 1] != '{')
        buf_add_byte(out, ',');
    buf_addf(out, "\"" STR_FMT "\":", STR_ARG(name));
}

static int render_member(struct encoder *e, const struct member *member, struct str text,
                         struct why *why)
{
    struct buf *out = &e->rendered;
    int r;

    begin_member(out, member->name);
    if (member->kind == MEMBER_JSON) {
        /* Looked at alone: a comma in it could make members of what stands behind. */
        r = json_scan(&e->json, text, NULL);
        buf_add_str(out, text);
        return r < 0 ? why_set(why, r, "%s is not one JSON value", member->name.at) : 0;
    }
    if (!str_is_utf8(text))
        return why_set(why, -ERR_INVALID, "%s is not UTF-8", member->name.at);
    buf_add_byte(out, '"');
    json_escape(text, out);
    buf_add_byte(out, '"');
    return 0;
}

static int render_object(struct encoder *e, const struct trailbus_event *event,
                         const struct member *table, size_t count, struct why *why)
{
    buf_add_byte(&e->rendered, '{');
    for (size_t i = 0; i < count && !buf_error(&e->rendered); i++) {
        const char *text;
        int r;

        memcpy(&text, (const char *)event + table[i].offset, sizeof(text));
        if (!text && table[i].required)
            return why_set(why, -ERR_INVALID, "%s is missing", table[i].name.at);
        r = text ? render_member(e, &table[i], str_from(text), why) : 0;
        if (r < 0)
            return r;
    }
    buf_add_byte(&e->rendered, '}');
    return 0;
}

static bool has_identity(const struct trailbus_event *event)
{
    return event->user_type || event->user_principal_id || event->user_account_id ||
           event->user_access_key_id || event->user_name;
}

int encoder_render(struct encoder *e, const struct trailbus_event *event, struct str *ret_text,
                   struct why *reterr_why)
{
    struct buf *out = &e->rendered;
    int r;

    buf_reset(out);
    r = render_object(e, event, members, ARRAY_LEN(members), reterr_why);
    if (r == 0 && has_identity(event) && !buf_error(out)) {
        out->len--; /* the brace that closed it */
        begin_member(out, STR("userIdentity"));
        r = render_object(e, event, identity_members, ARRAY_LEN(identity_members), reterr_why);
        buf_add_byte(out, '}');
    }
    *ret_text = buf_str(out);
    if (r == 0 && buf_error(out))
        return why_set(reterr_why, buf_error(out), "an event has at most %d bytes",
                       RAW_EVENT_SIZE_MAX);
    return r;
}

/* ---- from JSON ------------------------------------------------------------------------------------ */

static struct str text_in(struct encoder *e, uint32_t object, struct str name)
{
    const struct json *json = &e->json;
    uint32_t value = json->tokens[object].type == JSON_OBJECT ? json_member(json, object, name) : 0;

    if (!value || json->tokens[value].type != JSON_STRING)
        return STR("");
    return json_text(json, value, e->arena);
}

/* The provider's own events are spelled otherwise (normalize.c looks at the same members). */
static bool is_inner(const struct json *json)
{
    return !json_member(json, 0, STR("eventName")) && !json_member(json, 0, STR("serviceName")) &&
           (json_member(json, 0, STR("EventProduct")) ||
            json_member(json, 0, STR("ResourceOwnerID")));
}

static struct str owner_of(struct encoder *e, bool inner)
{
    struct str account;
    uint32_t identity;

    if (inner)
        return text_in(e, 0, STR("ResourceOwnerID"));
    account = text_in(e, 0, STR("recipientAccountId"));
    identity = json_member(&e->json, 0, STR("userIdentity"));
    return account.len || !identity ? account : text_in(e, identity, STR("accountId"));
}

/* An absent id, null and "" say the same. */
static bool lacks_id(const struct json *json, uint32_t id)
{
    return !id || json->tokens[id].type == JSON_NULL ||
           (json->tokens[id].type == JSON_STRING && json->tokens[id].len == 0);
}

/* Puts a new id into the event, in place of one that says nothing or before all else; scans it again. */
static int give_id(struct encoder *e, struct str name, uint32_t id, struct why *why)
{
    struct str text = e->json.text, old = id ? json_raw(&e->json, id) : STR("");
    size_t cut = id ? (size_t)(old.at - text.at) : (size_t)e->json.tokens[0].at + 1;
    char uuid[UUID_SIZE];

    crypto_uuid(uuid);
    buf_reset(&e->text);
    buf_add(&e->text, text.at, cut);
    if (id)
        buf_addf(&e->text, "\"%s\"", uuid);
    else
        buf_addf(&e->text, "\"" STR_FMT "\":\"%s\"%s", STR_ARG(name), uuid,
                 e->json.count > 1 ? "," : "");
    cut += old.len;
    buf_add(&e->text, text.at + cut, text.len - cut);
    return buf_error(&e->text) ? buf_error(&e->text) : json_scan(&e->json, buf_str(&e->text), why);
}

int encoder_encode(struct encoder *e, struct str text, struct encoded *ret, struct why *reterr_why)
{
    struct str id_name;
    uint32_t id;
    bool inner;
    int r;

    arena_reset(e->arena);
    r = json_scan(&e->json, text, reterr_why);
    if (r < 0)
        return r;
    if (e->json.tokens[0].type != JSON_OBJECT)
        return why_set(reterr_why, -ERR_INVALID, "an event is a JSON object");
    inner = is_inner(&e->json);
    id_name = inner ? STR("EventID") : STR("eventId");
    id = json_member(&e->json, 0, id_name);
    if (lacks_id(&e->json, id) && (r = give_id(e, id_name, id, reterr_why)) < 0)
        return r;
    buf_reset(&e->avro);
    r = raw_event_encode(&e->json, &e->avro, reterr_why);
    if (r == -ERR_LIMIT)
        return why_set(reterr_why, r, "an event has at most %d bytes", RAW_EVENT_SIZE_MAX);
    *ret = (struct encoded){
        .account = owner_of(e, inner), .id = text_in(e, 0, id_name), .avro = buf_str(&e->avro)};
    return r < 0 ? r : arena_error(e->arena); /* a key that is not there is not an empty one */
}
