/* normalize.c - the checks in their order, then the document, then the envelope.
 *
 *     bytes --read_input--> tokens --read_members--> what we understand --check_…--> verdict
 *           --render_document--> final JSON --event_encode--> value of the output record
 */
#include "normalize.h"

#include <stdio.h>

#include "crypto/crypto.h"
#include "secrets.h"

#define ARENA_SIZE_MAX (4 << 20) /* texts with escapes resolved, of one record */

/* Members that we understand, by their place in the tables below; 0 where absent. */
enum member {
    EVENT_ID,
    EVENT_VERSION,
    EVENT_CATEGORY,
    EVENT_TYPE,
    EVENT_NAME,
    EVENT_RW,
    EVENT_TIME,
    SERVICE_NAME,
    ACS_REGION,
    IS_GLOBAL,
    RECIPIENT,
    USER_IDENTITY,
    SOURCE_IP,
    PARAMETERS,
    PARAMETER_JSON,
    RESPONSE,
    ADDITIONAL,
    ATTRIBUTES,
    REFERENCED,
    RESOURCE_TYPE,
    RESOURCE_NAME,
    MEMBER_COUNT,
};

static const struct {
    struct str name;
    uint8_t type; /* what it must be where it matters; JSON_NULL: anything */
} members[MEMBER_COUNT] = {
    [EVENT_ID] = {STR("eventId"), JSON_STRING},
    [EVENT_VERSION] = {STR("eventVersion"), JSON_NULL},
    [EVENT_CATEGORY] = {STR("eventCategory"), JSON_STRING},
    [EVENT_TYPE] = {STR("eventType"), JSON_STRING},
    [EVENT_NAME] = {STR("eventName"), JSON_STRING},
    [EVENT_RW] = {STR("eventRW"), JSON_STRING},
    [EVENT_TIME] = {STR("eventTime"), JSON_STRING},
    [SERVICE_NAME] = {STR("serviceName"), JSON_STRING},
    [ACS_REGION] = {STR("acsRegion"), JSON_STRING},
    [IS_GLOBAL] = {STR("isGlobal"), JSON_NULL},
    [RECIPIENT] = {STR("recipientAccountId"), JSON_STRING},
    [USER_IDENTITY] = {STR("userIdentity"), JSON_OBJECT},
    [SOURCE_IP] = {STR("sourceIpAddress"), JSON_STRING},
    [PARAMETERS] = {STR("requestParameters"), JSON_NULL},
    [PARAMETER_JSON] = {STR("requestParameterJson"), JSON_NULL},
    [RESPONSE] = {STR("responseElements"), JSON_NULL},
    [ADDITIONAL] = {STR("additionalEventData"), JSON_NULL},
    [ATTRIBUTES] = {STR("eventAttributes"), JSON_NULL},
    [REFERENCED] = {STR("referencedResources"), JSON_NULL},
    [RESOURCE_TYPE] = {STR("resourceType"), JSON_NULL},
    [RESOURCE_NAME] = {STR("resourceName"), JSON_NULL},
};

#define MEMBER_SLOTS 128 /* of a table of their names */

struct normalizer {
    struct normalize_settings settings;
    uint8_t members_by_hash[MEMBER_SLOTS]; /* member + 1 */
    struct json json;                      /* the record */
    struct json inner;                     /* a JSON text inside a string of it */
    struct buf rendered;                   /* an Avro record as JSON */
    struct buf parameters;                 /* requestParameterJson that we made */
    struct buf document, encoded;
    struct arena *arena;
    int failed; /* in this record: a text that could not be masked */
    struct event event;
    uint32_t at[MEMBER_COUNT];
    bool finished; /* it is read back: see normalize_read_back() */
};

static const char *const outcome_names[NORMALIZE_OUTCOME_COUNT] = {
    [NORMALIZED] = "normalized",
    [REJECTED_TOO_LARGE] = "too_large",
    [REJECTED_MALFORMED] = "malformed",
    [REJECTED_MISSING_FIELD] = "missing_field",
    [REJECTED_INVALID_FIELD] = "invalid_field",
    [REJECTED_TIME_RANGE] = "time_range",
    [REJECTED_UNKNOWN_SERVICE] = "unknown_service",
    [REJECTED_UNKNOWN_REGION] = "unknown_region",
    [REJECTED_CONFLICT] = "conflict",
    [DROPPED_DATA_EVENT] = "data_event",
    [DROPPED_UNSUPPORTED_REGION] = "unsupported_region",
    [DROPPED_DUPLICATE] = "duplicate",
};

const char *normalize_outcome_name(enum normalize_outcome outcome)
{
    CHECK(outcome < NORMALIZE_OUTCOME_COUNT);
    return outcome_names[outcome];
}

static void index_members(struct normalizer *n)
{
    for (size_t m = 0; m < MEMBER_COUNT; m++) {
        size_t slot = str_hash(members[m].name, 0) % MEMBER_SLOTS;

        while (n->members_by_hash[slot])
            slot = (slot + 1) % MEMBER_SLOTS;
        n->members_by_hash[slot] = (uint8_t)(m + 1);
    }
}

struct normalizer *normalizer_new(const struct normalize_settings *settings)
{
    struct normalizer *n = calloc(1, sizeof(*n));

    if (!n)
        return NULL;
    n->settings = *settings;
    index_members(n);
    json_init(&n->json);
    json_init(&n->inner);
    buf_init(&n->rendered, (size_t)8 * RAW_EVENT_SIZE_MAX); /* \u00XX is six bytes for one */
    buf_init(&n->parameters, (size_t)8 * RAW_EVENT_SIZE_MAX);
    buf_init(&n->document, (size_t)16 * RAW_EVENT_SIZE_MAX);
    buf_init(&n->encoded, (size_t)17 * RAW_EVENT_SIZE_MAX);
    n->arena = arena_new(ARENA_SIZE_MAX);
    if (n->arena)
        return n;
    normalizer_free(n);
    return NULL;
}

void normalizer_free(struct normalizer *n)
{
    if (!n)
        return;
    json_done(&n->json);
    json_done(&n->inner);
    buf_done(&n->rendered);
    buf_done(&n->parameters);
    buf_done(&n->document);
    buf_done(&n->encoded);
    arena_free(n->arena);
    free(n);
}

/* A verdict with its sentence. Returns 1: done, nothing more to look at. */
#define VERDICT(ret, verdict, ...)                                                                 \
    ((ret)->outcome = (verdict), (void)why_set(&(ret)->why, 0, __VA_ARGS__), 1)

/* ---- reading ----------------------------------------------------------------------------------- */

static int scan_failed(int r, const struct why *why, struct normalize_result *ret)
{
    if (r == -ERR_NOMEM)
        return r;
    return VERDICT(ret, r == -ERR_LIMIT ? REJECTED_TOO_LARGE : REJECTED_MALFORMED, "%s", why->text);
}

static int read_input(struct normalizer *n, const struct normalize_input *in,
                      struct normalize_result *ret)
{
    struct raw_event_texts texts;
    struct str text = in->bytes;
    struct why why = {0};
    int r;

    if (in->bytes.len > RAW_EVENT_SIZE_MAX)
        return VERDICT(ret, REJECTED_TOO_LARGE, "%zu bytes, at most %d", in->bytes.len,
                       RAW_EVENT_SIZE_MAX);
    if (!in->json) {
        buf_reset(&n->rendered);
        r = raw_event_render(in->bytes, &n->rendered, &texts, &why);
        if (r < 0)
            return scan_failed(r, &why, ret);
        text = buf_str(&n->rendered);
    }
    r = json_scan(&n->json, text, &why);
    if (r < 0)
        return scan_failed(r, &why, ret);
    if (!in->json && !raw_event_texts_whole(&texts, &n->json))
        return VERDICT(ret, REJECTED_MALFORMED, "a JSON text in the Avro record is not one value");
    if (n->json.tokens[0].type != JSON_OBJECT)
        return VERDICT(ret, REJECTED_MALFORMED, "an event is a JSON object");
    return 0;
}

/* Which member has this name? MEMBER_COUNT: none of ours. */
static size_t member_of(const struct normalizer *n, struct str name, uint32_t hash)
{
    size_t slot = hash % MEMBER_SLOTS;

    for (; n->members_by_hash[slot]; slot = (slot + 1) % MEMBER_SLOTS)
        if (str_eq(members[n->members_by_hash[slot] - 1].name, name))
            return n->members_by_hash[slot] - 1;
    return MEMBER_COUNT;
}

/* One walk over the root's keys; the scan has hashed them, spelling apart. */
static void find_members(struct normalizer *n)
{
    const struct json *json = &n->json;

    memset(n->at, 0, sizeof(n->at));
    for (uint32_t key = 1; key < json->count; key = json->tokens[key + 1].next) {
        struct str name = json_text(json, key, n->arena);
        size_t m = member_of(n, name, json->tokens[key].hash);

        if (m < MEMBER_COUNT)
            n->at[m] = key + 1;
    }
}

/* An absent member, null and an empty text say the same: nothing. */
static bool has(const struct normalizer *n, enum member m)
{
    const struct json_token *t = &n->json.tokens[n->at[m]];

    return n->at[m] && t->type != JSON_NULL && !(t->type == JSON_STRING && t->len == 0);
}

static int check_types(struct normalizer *n, struct normalize_result *ret)
{
    static const enum member required[] = {EVENT_NAME, EVENT_TIME, SERVICE_NAME};

    for (size_t m = 0; m < MEMBER_COUNT; m++)
        if (members[m].type != JSON_NULL && has(n, (enum member)m) &&
            n->json.tokens[n->at[m]].type != members[m].type)
            return VERDICT(ret, REJECTED_INVALID_FIELD, "%s must be %s", members[m].name.at,
                           members[m].type == JSON_STRING ? "a string" : "an object");
    for (size_t i = 0; i < ARRAY_LEN(required); i++)
        if (!has(n, required[i]))
            return VERDICT(ret, REJECTED_MISSING_FIELD, "%s is missing",
                           members[required[i]].name.at);
    return 0;
}

static struct str plain_at(struct normalizer *n, uint32_t token)
{
    struct str s;

    if (token == 0 || n->json.tokens[token].type != JSON_STRING)
        return STR("");
    s = json_text(&n->json, token, n->arena);
    return s.at ? s : STR("");
}

/* A text of JSON that holds a secret, without it. One that grows too large by that makes the document too large as well. */
static struct str masked_at(struct normalizer *n, uint32_t token)
{
    AUTO_BUF struct buf shown = {0}, plain = {0};
    struct str s = STR_NONE;

    buf_init(&shown, JSON_TEXT_MAX);
    buf_init(&plain, JSON_TEXT_MAX);
    secrets_render(&n->json, token, &shown);
    if (buf_error(&shown) == 0)
        json_unescape(str_of(shown.at + 1, shown.len - 2), &plain);
    if (buf_error(&shown) == -ERR_NOMEM || buf_error(&plain) == -ERR_NOMEM)
        n->failed = -ERR_NOMEM;
    else if (buf_error(&shown) == 0 && buf_error(&plain) == 0)
        s = arena_copy(n->arena, buf_str(&plain));
    return s.at ? s : STR("");
}

/* As the document says it: the envelope knows no more. */
static struct str text_at(struct normalizer *n, uint32_t token)
{
    int secret = 0;

    if (token && n->json.tokens[token].type == JSON_STRING && n->json.tokens[token].escaped)
        secret = secrets_below(&n->json, token);
    if (secret < 0)
        n->failed = secret;
    return secret == 1 ? masked_at(n, token) : plain_at(n, token);
}

static struct str text_of(struct normalizer *n, enum member m)
{
    return text_at(n, n->at[m]);
}

/* Of the object that is a member's value; 0: there is no such member. */
static struct str text_in(struct normalizer *n, uint32_t object, struct str key)
{
    if (object == 0 || n->json.tokens[object].type != JSON_OBJECT)
        return STR("");
    return text_at(n, json_member(&n->json, object, key));
}

static struct str text_in_root(struct normalizer *n, struct str key)
{
    return text_at(n, json_member(&n->json, 0, key));
}

/* RoleName of an assumed role: userName and principalId say "name:session". */
static struct str role_of(struct str type, struct str user)
{
    struct str rest = user, role;

    if (!str_eq(type, STR("assumed-role")) || !str_split(&rest, ':', &role))
        return STR("");
    return role;
}

static void read_identity(struct normalizer *n)
{
    uint32_t identity = has(n, USER_IDENTITY) ? n->at[USER_IDENTITY] : 0;
    struct event *e = &n->event;

    e->user = text_in(n, identity, STR("userName"));
    e->principal = text_in(n, identity, STR("principalId"));
    e->access_key = text_in(n, identity, STR("accessKeyId"));
    e->role = role_of(text_in(n, identity, STR("type")), e->user);
    e->account = has(n, RECIPIENT) ? text_of(n, RECIPIENT) : text_in(n, identity, STR("accountId"));
}

/* An id for an event that came without one: the same for the same record, whoever reads it. */
static struct str derive_id(struct normalizer *n, const struct event_origin *origin)
{
    struct str from =
        arena_printf(n->arena, STR_FMT "/" STR_FMT "/%d/%lld", STR_ARG(origin->topic),
                     STR_ARG(origin->generation), origin->partition, (long long)origin->offset);
    const unsigned char *b;
    struct sha256 digest = sha256_of(from);

    b = digest.bytes;
    return arena_printf(n->arena,
                        "%02X%02X%02X%02X-%02X%02X-8%X%02X-%02X%02X-%02X%02X%02X%02X%02X%02X", b[0],
                        b[1], b[2], b[3], b[4], b[5], b[6] & 0xF, b[7], 0x80 | (b[8] & 0x3F), b[9],
                        b[10], b[11], b[12], b[13], b[14], b[15]);
}

/* ---- checking ---------------------------------------------------------------------------------- */

static int check_owner(const struct event *e, struct normalize_result *ret)
{
    if (e->account.len == 0)
        return VERDICT(ret, REJECTED_MISSING_FIELD,
                       "no owner: neither recipientAccountId nor userIdentity.accountId");
    if (e->account.len > EVENT_ACCOUNT_SIZE_MAX)
        return VERDICT(ret, REJECTED_INVALID_FIELD, "an account id of %zu bytes, at most %d",
                       e->account.len, EVENT_ACCOUNT_SIZE_MAX);
    for (size_t i = 0; i < e->account.len; i++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
                    e->account.at[i]) ||
            e->account.at[i] == '\0')
            return VERDICT(ret, REJECTED_INVALID_FIELD,
                           "an account id is made of letters, digits, - and _");
    return 0;
}

static int check_id(const struct event *e, struct normalize_result *ret)
{
    if (e->id.len > EVENT_ID_SIZE_MAX)
        return VERDICT(ret, REJECTED_INVALID_FIELD, "an eventId of %zu bytes, at most %d",
                       e->id.len, EVENT_ID_SIZE_MAX);
    return 0;
}

static int check_time(const struct normalizer *n, struct str text, struct normalize_result *ret)
{
    const struct event *e = &n->event;

    if (n->finished)
        return 0;
    if (e->time_ms - e->received_ms > n->settings.ahead_max_ms)
        return VERDICT(ret, REJECTED_TIME_RANGE, "eventTime " STR_FMT " is ahead of its arrival",
                       STR_ARG(text));
    if (e->received_ms - e->time_ms > n->settings.behind_max_ms)
        return VERDICT(ret, REJECTED_TIME_RANGE, "eventTime " STR_FMT " is too far back",
                       STR_ARG(text));
    return 0;
}

static int read_time(struct normalizer *n, struct str text, struct normalize_result *ret)
{
    int64_t seconds;

    if (!time_parse_lenient(text, &seconds))
        return VERDICT(ret, REJECTED_INVALID_FIELD,
                       "eventTime must be UTC, as 2026-01-31T12:00:00Z, not \"%.*s\"",
                       (int)MIN_OF(text.len, (size_t)40), text.at);
    if (seconds < 0) /* whatever an operator allows: no day of the history begins before */
        return VERDICT(ret, REJECTED_TIME_RANGE, "eventTime " STR_FMT " lies before 1970",
                       STR_ARG(text));
    n->event.time_ms = seconds * 1000;
    return check_time(n, text, ret);
}

static bool is_deployed(const struct normalize_settings *s, struct str region)
{
    for (size_t i = 0; i < s->deployed_count; i++)
        if (str_eq(s->deployed[i], region))
            return true;
    return false;
}

/* Of an event that comes in, not of one that is finished. */
static int judge(struct normalizer *n, const struct catalog_service *service, struct str acs,
                 struct normalize_result *ret)
{
    const struct event *e = &n->event;

    if (!service)
        ret->unknown_service = 1;
    if (!service && n->settings.reject_unknown_service)
        return VERDICT(ret, REJECTED_UNKNOWN_SERVICE, "nobody knows the service \"%.*s\"",
                       (int)MIN_OF(e->service.len, (size_t)60), e->service.at);
    if (str_eq(text_of(n, EVENT_CATEGORY), STR("Data")))
        return VERDICT(ret, DROPPED_DATA_EVENT, "eventCategory is Data");
    switch (service ? catalog_judge(service, e->name, acs) : CATALOG_RECORDED) {
    case CATALOG_DATA_EVENT:
        return VERDICT(ret, DROPPED_DATA_EVENT, "a data event of its service");
    case CATALOG_UNSUPPORTED_REGION:
        return VERDICT(ret, DROPPED_UNSUPPORTED_REGION, "the service is not recorded there");
    case CATALOG_RECORDED:
        break;
    }
    return 0;
}

/* docs/ARCHITECTURE.md, "Regions": known and deployed here: its own; else its partition's, if that is
 * deployed here; else where it was published, as the event begins. */
static int choose_region(struct normalizer *n, struct str acs, struct normalize_result *ret)
{
    const struct normalize_settings *s = &n->settings;
    const struct catalog_region *known = catalog_region(s->catalog, acs);

    if (n->finished)
        return 0;
    if (is_deployed(s, acs)) {
        n->event.region = acs;
    } else if (!known) {
        ret->unknown_region = 1;
        return s->reject_unknown_region
                   ? VERDICT(ret, REJECTED_UNKNOWN_REGION, "nobody knows the region \"%.*s\"",
                             (int)MIN_OF(acs.len, (size_t)60), acs.at)
                   : 0;
    } else if (is_deployed(s, known->topic_region)) {
        n->event.region = known->topic_region;
    }
    return 0;
}

static int classify(struct normalizer *n, struct str acs, struct normalize_result *ret)
{
    struct event *e = &n->event;
    const struct catalog_service *service = catalog_service(n->settings.catalog, e->service);
    struct str rw = text_of(n, EVENT_RW), category = text_of(n, EVENT_CATEGORY);
    int r = n->finished ? 0 : judge(n, service, acs, ret);

    if (r != 0)
        return r;
    e->category = str_eq(category, STR("Insight")) ? EVENT_INSIGHT : EVENT_MANAGEMENT;
    e->global = service ? catalog_global(service)
                        : n->at[IS_GLOBAL] && n->json.tokens[n->at[IS_GLOBAL]].type == JSON_TRUE;
    e->rw = str_eq_nocase(rw, STR("Read"))    ? EVENT_READ
            : str_eq_nocase(rw, STR("Write")) ? EVENT_WRITE
            : catalog_reads(service, e->name) ? EVENT_READ
                                              : EVENT_WRITE;
    return 0;
}

/* ---- resources --------------------------------------------------------------------------------- */

static void resource_add(struct event *e, struct str type, struct str name)
{
    if (e->resource_count < EVENT_RESOURCES_MAX && (type.len || name.len))
        e->resources[e->resource_count++] = (struct event_resource){type, name};
}

/* resourceType "A;B" and resourceName "a1,a2;b1": names of one type by commas, types by semicolons. */
static void resources_from_texts(struct event *e, struct str types, struct str names)
{
    struct str type, list, name;

    while (str_split(&types, ';', &type)) {
        if (!str_split(&names, ';', &list) || list.len == 0) {
            resource_add(e, type, STR(""));
            continue;
        }
        while (str_split(&list, ',', &name))
            resource_add(e, type, name);
    }
}

/* referencedResources: {"ACS::ECS::Instance": ["i-…", …], …} */
static void resources_from_object(struct normalizer *n, uint32_t object)
{
    const struct json *json = &n->json;

    for (uint32_t key = object + 1; key < json->tokens[object].next;
         key = json->tokens[key + 1].next) {
        struct str type = json_text(json, key, n->arena);
        int secret = secrets_masks_member(json, key);

        if (secret < 0)
            n->failed = secret;
        if (secret)
            resource_add(&n->event, type, STR(SECRET_MASK));
        else if (json->tokens[key + 1].type == JSON_STRING)
            resource_add(&n->event, type, text_at(n, key + 1));
        if (secret || json->tokens[key + 1].type != JSON_ARRAY)
            continue;
        for (uint32_t item = key + 2; item < json->tokens[key + 1].next;
             item = json->tokens[item].next)
            resource_add(&n->event, type, text_at(n, item));
    }
}

static bool has_object(const struct normalizer *n, enum member m)
{
    return n->at[m] && n->json.tokens[n->at[m]].type == JSON_OBJECT;
}

static void read_resources(struct normalizer *n)
{
    n->event.resource_count = 0;
    if (has_object(n, REFERENCED))
        resources_from_object(n, n->at[REFERENCED]);
    else
        resources_from_texts(&n->event, text_of(n, RESOURCE_TYPE), text_of(n, RESOURCE_NAME));
}

/* ---- the document ------------------------------------------------------------------------------ */

static void begin(struct buf *out, struct str name)
{
    if (out->len > 1)
        buf_add_byte(out, ',');
    buf_add_byte(out, '"');
    buf_add_str(out, name);
    buf_add_str(out, STR("\":"));
}

static void add_text(struct buf *out, enum member m, struct str text)
{
    begin(out, members[m].name);
    buf_add_byte(out, '"');
    json_escape(text, out);
    buf_add_byte(out, '"');
}

/* Mostly the text is requestParameters once more; where they hold no secret, nor does it: 1. */
static int says_the_parameters(const struct normalizer *n, struct str text)
{
    uint32_t parameters = n->at[PARAMETERS];
    int r;

    if (!parameters || !str_eq(text, json_raw(&n->json, parameters)))
        return 0;
    r = secrets_below(&n->json, parameters);
    return r < 0 ? r : !r;
}

/* Whether a text that is JSON, scanned as n->inner, holds a secret: 1. */
static int text_holds_secret(struct normalizer *n, struct str text)
{
    int r = says_the_parameters(n, text);

    if (r != 0)
        return MIN_OF(r, 0);
    r = json_scan(&n->inner, text, NULL);
    if (r < 0)
        return r == -ERR_NOMEM ? r : 0;
    return secrets_below(&n->inner, 0);
}

/* JSON inside a string, as secrets.h has it, but met in most events: without memory of its own. A text that is
 * no JSON is kept as it is. */
static void render_parameter_json(struct normalizer *n, uint32_t value, struct buf *out)
{
    int r;

    if (n->json.tokens[value].type != JSON_STRING) {
        secrets_render(&n->json, value, out);
        return;
    }
    r = text_holds_secret(n, plain_at(n, value));
    if (r == 0) {
        buf_add_str(out, json_raw(&n->json, value));
        return;
    }
    buf_reset(&n->parameters);
    if (r > 0) {
        secrets_render(&n->inner, 0, &n->parameters);
        r = buf_error(&n->parameters);
    }
    if (r < 0)
        out->error = r;
    buf_add_byte(out, '"');
    json_escape(buf_str(&n->parameters), out);
    buf_add_byte(out, '"');
}

/* Members that are written behind the others where they say nothing. */
static bool gives_way(const struct normalizer *n, uint32_t value, bool id_given)
{
    static const enum member filled[] = {EVENT_ID,   EVENT_VERSION, EVENT_CATEGORY, EVENT_RW,
                                         ACS_REGION, IS_GLOBAL,     RECIPIENT};

    if (n->event.category == EVENT_INNER)
        return !id_given && value == json_member(&n->json, 0, STR("EventID"));
    for (size_t i = 0; i < ARRAY_LEN(filled); i++)
        if (value == n->at[filled[i]])
            return !has(n, filled[i]);
    return false;
}

/* What came in, in its order. */
static void render_given(struct normalizer *n, bool id_given, struct buf *out)
{
    const struct json *json = &n->json;

    for (uint32_t key = 1; key < json->count; key = json->tokens[key + 1].next) {
        uint32_t value = key + 1;

        if (gives_way(n, value, id_given))
            continue;
        if (out->len > 1)
            buf_add_byte(out, ',');
        buf_add_str(out, json_raw(json, key));
        buf_add_byte(out, ':');
        if (value == n->at[PARAMETER_JSON])
            render_parameter_json(n, value, out);
        else
            secrets_render_member(json, key, out);
    }
}

static void add_joined(struct normalizer *n, struct buf *out)
{
    const struct event *e = &n->event;
    struct str type = STR_NONE;

    begin(out, members[RESOURCE_TYPE].name);
    buf_add_byte(out, '"');
    for (size_t i = 0; i < e->resource_count; i++) {
        if (i && str_eq(type, e->resources[i].type))
            continue;
        type = e->resources[i].type;
        if (i)
            buf_add_byte(out, ';');
        json_escape(type, out);
    }
    buf_add_byte(out, '"');
    begin(out, members[RESOURCE_NAME].name);
    buf_add_byte(out, '"');
    for (size_t i = 0; i < e->resource_count; i++) {
        if (i)
            buf_add_byte(out, str_eq(e->resources[i - 1].type, e->resources[i].type) ? ',' : ';');
        json_escape(e->resources[i].name, out);
    }
    buf_add_byte(out, '"');
}

static void render_missing(struct normalizer *n, struct buf *out)
{
    const struct event *e = &n->event;

    if (!has(n, EVENT_ID))
        add_text(out, EVENT_ID, e->id);
    if (!has(n, EVENT_VERSION))
        add_text(out, EVENT_VERSION, STR("1"));
    if (!has(n, EVENT_CATEGORY))
        add_text(out, EVENT_CATEGORY, STR("Management"));
    if (!has(n, EVENT_RW))
        add_text(out, EVENT_RW, e->rw == EVENT_READ ? STR("Read") : STR("Write"));
    if (!has(n, ACS_REGION))
        add_text(out, ACS_REGION, n->settings.region);
    if (!has(n, IS_GLOBAL)) {
        begin(out, members[IS_GLOBAL].name);
        buf_add_str(out, e->global ? STR("true") : STR("false"));
    }
    if (!has(n, RECIPIENT))
        add_text(out, RECIPIENT, e->account);
    if (has_object(n, PARAMETERS) && !n->at[PARAMETER_JSON]) {
        buf_reset(&n->parameters);
        secrets_render(&n->json, n->at[PARAMETERS], &n->parameters);
        add_text(out, PARAMETER_JSON, buf_str(&n->parameters));
        if (buf_error(&n->parameters))
            out->error = buf_error(&n->parameters);
    }
    if (e->resource_count && has_object(n, REFERENCED) && !n->at[RESOURCE_TYPE] &&
        !n->at[RESOURCE_NAME])
        add_joined(n, out);
}

/* ---- the provider's own events: flat, PascalCase, complete ---------------------------------------- */

static bool is_inner(struct normalizer *n)
{
    return !n->at[EVENT_NAME] && !n->at[SERVICE_NAME] &&
           (json_member(&n->json, 0, STR("EventProduct")) ||
            json_member(&n->json, 0, STR("ResourceOwnerID")));
}

static int read_inner(struct normalizer *n, const struct normalize_input *in,
                      struct normalize_result *ret)
{
    struct event *e = &n->event;
    struct str acs = text_in_root(n, STR("ResourceRegionID"));
    uint32_t id;
    int r;

    e->category = EVENT_INNER;
    e->rw = EVENT_WRITE;
    id = json_member(&n->json, 0, STR("EventID"));
    if (id && n->json.tokens[id].type != JSON_STRING && n->json.tokens[id].type != JSON_NULL)
        return VERDICT(ret, REJECTED_INVALID_FIELD, "EventID must be a string");
    e->id = text_at(n, id);
    e->account = text_in_root(n, STR("ResourceOwnerID"));
    e->service = text_in_root(n, STR("EventProduct"));
    e->name = text_in_root(n, STR("EventName"));
    e->type = text_in_root(n, STR("EventType"));
    ret->id_given = e->id.len > 0;
    if (!ret->id_given)
        e->id = derive_id(n, &in->origin);
    if (e->service.len == 0 || e->name.len == 0)
        return VERDICT(ret, REJECTED_MISSING_FIELD, "%s is missing",
                       e->service.len ? "EventName" : "EventProduct");
    if (e->account.len == 0)
        return VERDICT(ret, REJECTED_MISSING_FIELD, "ResourceOwnerID is missing");
    if ((r = check_owner(e, ret)) != 0 || (r = check_id(e, ret)) != 0 ||
        (r = read_time(n, text_in_root(n, STR("EventTime")), ret)) != 0)
        return r;
    resource_add(e, text_in_root(n, STR("ResourceType")), text_in_root(n, STR("ResourceID")));
    return acs.len ? choose_region(n, acs, ret) : 0;
}

static int read_management(struct normalizer *n, const struct normalize_input *in,
                           struct normalize_result *ret)
{
    struct event *e = &n->event;
    struct str acs;
    int r;

    if ((r = check_types(n, ret)) != 0)
        return r;
    e->service = text_of(n, SERVICE_NAME);
    e->name = text_of(n, EVENT_NAME);
    e->type = text_of(n, EVENT_TYPE);
    e->source_ip = text_of(n, SOURCE_IP);
    e->id = text_of(n, EVENT_ID);
    ret->id_given = e->id.len > 0;
    if (!ret->id_given)
        e->id = derive_id(n, &in->origin);
    read_identity(n);
    acs = has(n, ACS_REGION) ? text_of(n, ACS_REGION) : n->settings.region;
    if ((r = check_owner(e, ret)) != 0 || (r = check_id(e, ret)) != 0 ||
        (r = read_time(n, text_of(n, EVENT_TIME), ret)) != 0 || (r = classify(n, acs, ret)) != 0 ||
        (r = choose_region(n, acs, ret)) != 0)
        return r;
    e->sensitive = has_object(n, ATTRIBUTES) &&
                   str_eq(text_in(n, n->at[ATTRIBUTES], STR("SensitiveAction")), STR("true"));
    read_resources(n);
    return 0;
}

static int render(struct normalizer *n, struct normalize_result *ret)
{
    struct buf *out = &n->document;
    int r;

    buf_reset(out);
    buf_add_byte(out, '{');
    render_given(n, ret->id_given, out);
    if (n->event.category != EVENT_INNER)
        render_missing(n, out);
    else if (!ret->id_given) {
        begin(out, STR("EventID"));
        buf_addf(out, "\"" STR_FMT "\"", STR_ARG(n->event.id));
    }
    buf_add_byte(out, '}');
    n->event.document = buf_str(out);
    buf_reset(&n->encoded);
    r = buf_error(out) ? buf_error(out) : event_encode(&n->event, &n->encoded);
    if (r == -ERR_LIMIT)
        return VERDICT(ret, REJECTED_TOO_LARGE, "the finished event has over %d bytes",
                       EVENT_ENCODED_SIZE_MAX);
    return r;
}

/* The error of a text that could not be read. */
static int lacking(const struct normalizer *n)
{
    return n->failed ? n->failed : arena_error(n->arena);
}

int normalize_read_back(struct normalizer *n, struct str document, struct event *ret,
                        struct why *reterr_why)
{
    struct normalize_input in = {.bytes = document, .json = true};
    struct normalize_result result = {.outcome = NORMALIZED};
    int r;

    arena_reset(n->arena);
    n->failed = 0;
    n->event = (struct event){.region = n->settings.region,
                              .purpose = EVENT_FOR_DELIVERY | EVENT_FOR_HISTORY,
                              .document = document};
    r = json_scan(&n->json, document, reterr_why);
    if (r < 0)
        return r;
    if (n->json.tokens[0].type != JSON_OBJECT)
        return why_set(reterr_why, -ERR_INVALID, "an event is a JSON object");
    n->finished = true;
    find_members(n);
    r = is_inner(n) ? read_inner(n, &in, &result) : read_management(n, &in, &result);
    n->finished = false;
    if (lacking(n))
        return lacking(n);
    if (r < 0)
        return r;
    if (r > 0)
        return why_set(reterr_why, -ERR_INVALID, "%s", result.why.text);
    if (!result.id_given)
        return why_set(reterr_why, -ERR_INVALID, "it has no id");
    *ret = n->event;
    return 0;
}

int normalize(struct normalizer *n, const struct normalize_input *in, struct normalize_result *ret)
{
    int r;

    *ret = (struct normalize_result){.outcome = NORMALIZED};
    arena_reset(n->arena);
    n->failed = 0;
    n->event = (struct event){.region = n->settings.region,
                              .purpose = EVENT_FOR_DELIVERY | EVENT_FOR_HISTORY,
                              .received_ms = in->received_ms,
                              .origin = in->origin};
    r = read_input(n, in, ret);
    if (r == 0) {
        find_members(n);
        r = is_inner(n) ? read_inner(n, in, ret) : read_management(n, in, ret);
    }
    if (r == 0)
        r = render(n, ret);
    if (lacking(n)) /* a text that was not there to be read: no verdict holds */
        r = lacking(n);
    if (r == -ERR_LIMIT)
        r = VERDICT(ret, REJECTED_TOO_LARGE, "texts of over %d bytes", ARENA_SIZE_MAX);
    if (r < 0)
        return r;
    ret->id = n->event.id;
    ret->account = n->event.account;
    ret->global = n->event.global;
    ret->region = n->event.region;
    ret->event = ret->outcome == NORMALIZED ? buf_str(&n->encoded) : STR("");
    return 0;
}
