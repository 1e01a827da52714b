/* keys.c - the attributes' names and pairs; SipHash-2-4 over the parts of a key. */
#include "history/keys.h"

static const char *const names[HISTORY_ATTRIBUTE_COUNT] = {
    [HISTORY_SERVICE_NAME] = "ServiceName",
    [HISTORY_EVENT_NAME] = "EventName",
    [HISTORY_USER] = "User",
    [HISTORY_EVENT_ID] = "EventId",
    [HISTORY_RESOURCE_TYPE] = "ResourceType",
    [HISTORY_RESOURCE_NAME] = "ResourceName",
    [HISTORY_EVENT_RW] = "EventRW",
    [HISTORY_ACCESS_KEY_ID] = "EventAccessKeyId",
    [HISTORY_SENSITIVE_ACTION] = "SensitiveAction",
    [HISTORY_SOURCE_IP_ADDRESS] = "SourceIpAddress",
    [HISTORY_EVENT_TYPE] = "EventType",
    [HISTORY_ROLE_NAME] = "RoleName",
    [HISTORY_PRINCIPAL_ID] = "PrincipalId",
};

/* The lesser attribute first: so a pair has one key, however it is asked for. */
static const struct pair {
    enum history_attribute first, second;
} pairs[] = {
    {HISTORY_SERVICE_NAME, HISTORY_EVENT_NAME},       {HISTORY_SERVICE_NAME, HISTORY_USER},
    {HISTORY_SERVICE_NAME, HISTORY_RESOURCE_NAME},    {HISTORY_SERVICE_NAME, HISTORY_EVENT_RW},
    {HISTORY_SERVICE_NAME, HISTORY_SENSITIVE_ACTION}, {HISTORY_SERVICE_NAME, HISTORY_EVENT_TYPE},
    {HISTORY_SERVICE_NAME, HISTORY_ROLE_NAME},        {HISTORY_SERVICE_NAME, HISTORY_PRINCIPAL_ID},
    {HISTORY_EVENT_NAME, HISTORY_RESOURCE_NAME},      {HISTORY_USER, HISTORY_RESOURCE_NAME},
    {HISTORY_RESOURCE_TYPE, HISTORY_RESOURCE_NAME},   {HISTORY_RESOURCE_NAME, HISTORY_ROLE_NAME},
    {HISTORY_EVENT_NAME, HISTORY_EVENT_TYPE},
};

bool history_attribute_parse(struct str name, enum history_attribute *ret)
{
    for (int i = 0; i < HISTORY_ATTRIBUTE_COUNT; i++) {
        if (str_eq(name, str_from(names[i]))) {
            *ret = (enum history_attribute)i;
            return true;
        }
    }
    return false;
}

const char *history_attribute_name(enum history_attribute attribute)
{
    CHECK(attribute < HISTORY_ATTRIBUTE_COUNT);
    return names[attribute];
}

bool history_pair_valid(enum history_attribute a, enum history_attribute b)
{
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        if (pairs[i].first == MIN_OF(a, b) && pairs[i].second == MAX_OF(a, b))
            return true;
    return false;
}

/* ---- SipHash-2-4, in pieces ------------------------------------------------------------------- */

struct sip {
    uint64_t v0, v1, v2, v3;
    uint64_t word; /* bytes that do not fill a word yet */
    uint64_t len;
};

static inline uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static uint64_t word_at(const unsigned char *at)
{
    uint64_t word = 0;
    for (int i = 7; i >= 0; i--)
        word = (word << 8) | at[i];
    return word;
}

static struct sip sip_begin(const unsigned char secret[KEYS_SECRET_SIZE])
{
    uint64_t k0 = word_at(secret), k1 = word_at(secret + 8);
    return (struct sip){.v0 = k0 ^ 0x736f6d6570736575,
                        .v1 = k1 ^ 0x646f72616e646f6d,
                        .v2 = k0 ^ 0x6c7967656e657261,
                        .v3 = k1 ^ 0x7465646279746573};
}

static inline void sip_byte(struct sip *s, unsigned char byte)
{
    s->word |= (uint64_t)byte << (8 * (s->len & 7));
    if ((++s->len & 7) != 0)
        return;
    s->v3 ^= s->word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= s->word;
    s->word = 0;
}

static uint64_t sip_end(struct sip *s)
{
    uint64_t last = s->word | (s->len << 56);
    s->v3 ^= last;
    sip_round(s);
    sip_round(s);
    s->v0 ^= last;
    s->v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

uint64_t siphash24(const unsigned char secret[KEYS_SECRET_SIZE], struct str bytes)
{
    struct sip s = sip_begin(secret);
    for (size_t i = 0; i < bytes.len; i++)
        sip_byte(&s, (unsigned char)bytes.at[i]);
    return sip_end(&s);
}

/* ---- keys -------------------------------------------------------------------------------------- */

/* Its length goes before each text, so that no two lists of parts give the same bytes. */
static void sip_text(struct sip *s, struct str text, bool fold)
{
    for (int shift = 0; shift < 32; shift += 8)
        sip_byte(s, (unsigned char)(text.len >> shift));
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        sip_byte(s, fold && c >= 'A' && c <= 'Z' ? (unsigned char)(c + 'a' - 'A') : c);
    }
}

static struct sip scope_begin(const struct keys_secret *secret, enum keys_scope scope,
                              struct str account)
{
    struct sip s = sip_begin(secret->bytes);
    sip_byte(&s, (unsigned char)scope);
    sip_text(&s, account, false);
    return s;
}

static struct sip with_filter(struct sip s, enum history_attribute attribute, struct str value)
{
    sip_byte(&s, (unsigned char)(1 + attribute));
    sip_text(&s, value, attribute == HISTORY_SERVICE_NAME);
    return s;
}

static int64_t key_end(struct sip s)
{
    return (int64_t)sip_end(&s);
}

/* An event's value of an attribute; of `resource` for the two that come once a resource. */
static struct str value_of(const struct event *event, enum history_attribute attribute,
                           size_t resource)
{
    switch (attribute) {
    case HISTORY_SERVICE_NAME:
        return event->service;
    case HISTORY_EVENT_NAME:
        return event->name;
    case HISTORY_USER:
        return event->user;
    case HISTORY_EVENT_ID:
        return event->id;
    case HISTORY_RESOURCE_TYPE:
        return resource < event->resource_count ? event->resources[resource].type : STR_NONE;
    case HISTORY_RESOURCE_NAME:
        return resource < event->resource_count ? event->resources[resource].name : STR_NONE;
    case HISTORY_EVENT_RW:
        return event->rw == EVENT_READ ? STR("Read") : STR("Write");
    case HISTORY_ACCESS_KEY_ID:
        return event->access_key;
    case HISTORY_SENSITIVE_ACTION:
        return event->sensitive ? STR("true") : STR_NONE;
    case HISTORY_SOURCE_IP_ADDRESS:
        return event->source_ip;
    case HISTORY_EVENT_TYPE:
        return event->type;
    case HISTORY_ROLE_NAME:
        return event->role;
    case HISTORY_PRINCIPAL_ID:
        return event->principal;
    case HISTORY_ATTRIBUTE_COUNT:
        break;
    }
    CHECK(false);
    return STR_NONE;
}

static bool once_a_resource(enum history_attribute attribute)
{
    return attribute == HISTORY_RESOURCE_TYPE || attribute == HISTORY_RESOURCE_NAME;
}

struct key_list {
    int64_t *at;
    size_t count;
};

static void add_singles(struct key_list *list, struct sip base, const struct event *event)
{
    for (int i = 0; i < HISTORY_ATTRIBUTE_COUNT; i++) {
        enum history_attribute a = (enum history_attribute)i;
        size_t count = once_a_resource(a) ? event->resource_count : 1;
        for (size_t k = 0; k < count; k++) {
            struct str value = value_of(event, a, k);
            if (value.len > 0)
                list->at[list->count++] = key_end(with_filter(base, a, value));
        }
    }
}

/* A resource's name and type belong together: both of one resource. */
static void add_pairs(struct key_list *list, struct sip base, const struct event *event)
{
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        enum history_attribute a = pairs[i].first, b = pairs[i].second;
        size_t count = once_a_resource(a) || once_a_resource(b) ? event->resource_count : 1;
        for (size_t k = 0; k < count; k++) {
            struct str one = value_of(event, a, k), two = value_of(event, b, k);
            if (one.len == 0 || two.len == 0)
                continue;
            list->at[list->count++] = key_end(with_filter(with_filter(base, a, one), b, two));
        }
    }
}

size_t keys_of_event(const struct keys_secret *secret, const struct event *event,
                     int64_t ret[KEYS_MAX])
{
    struct key_list list = {.at = ret};
    int scopes = event->global ? KEYS_GLOBAL : KEYS_ALL;

    CHECK(event->resource_count <= EVENT_RESOURCES_MAX);
    for (int scope = KEYS_ALL; scope <= scopes; scope++) {
        struct sip base = scope_begin(secret, (enum keys_scope)scope, event->account);
        list.at[list.count++] = key_end(base);
        add_singles(&list, base, event);
        add_pairs(&list, base, event);
    }
    CHECK(list.count <= KEYS_MAX);
    return list.count;
}

int64_t keys_of_query(const struct keys_secret *secret, enum keys_scope scope, struct str account,
                      const struct history_filter *filters, size_t filter_count)
{
    struct sip s = scope_begin(secret, scope, account);
    struct history_filter ordered[HISTORY_ATTRIBUTES_MAX];

    CHECK(filter_count <= HISTORY_ATTRIBUTES_MAX);
    for (size_t i = 0; i < filter_count; i++)
        ordered[i] = filters[i];
    if (filter_count == 2 && filters[0].attribute > filters[1].attribute) {
        ordered[0] = filters[1];
        ordered[1] = filters[0];
    }
    for (size_t i = 0; i < filter_count; i++)
        s = with_filter(s, ordered[i].attribute, ordered[i].value);
    return key_end(s);
}
