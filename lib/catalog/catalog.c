/* catalog.c - two JSON documents turned into sorted lists and one hash table. */
#include "catalog/catalog.h"

#include "jsondoc/jsondoc.h"

extern const char catalog_regions_json[], catalog_regions_json_end[];
extern const char catalog_services_json[], catalog_services_json_end[];

struct names {
    struct str *at; /* sorted */
    size_t count;
};

struct catalog_service {
    struct str code;
    bool global;
    struct names allow, deny, regions, read, write;
};

#define TABLE_SIZE (CATALOG_SERVICES_MAX * 2)

struct catalog {
    struct jsondoc *docs[4]; /* own all strings */
    size_t doc_count;
    struct catalog_region regions[CATALOG_REGIONS_MAX];
    size_t region_count;
    struct catalog_service *services[CATALOG_SERVICES_MAX];
    size_t service_count;
    uint16_t table[TABLE_SIZE]; /* index + 1 by the lower-cased code */
};

static size_t code_slot(struct str code)
{
    uint32_t h = 2166136261U;

    for (size_t i = 0; i < code.len; i++) {
        char c = code.at[i];

        h = (h ^ (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c)) * 16777619U;
    }
    return h % TABLE_SIZE;
}

static int name_compare(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static bool names_have(const struct names *names, struct str name)
{
    return names->count &&
           bsearch(&name, names->at, names->count, sizeof(*names->at), name_compare) != NULL;
}

static int names_load(const struct jsondoc *list, const char *key, struct names *ret,
                      struct why *why)
{
    size_t count = jsondoc_len(list);

    if (!jsondoc_is_array(list) || count > CATALOG_NAMES_MAX)
        return why_set(why, -ERR_CONFIG, "catalog: \"%s\" must be a list of at most %d names", key,
                       CATALOG_NAMES_MAX);
    ret->at = calloc(count + 1, sizeof(*ret->at));
    if (!ret->at)
        return -ERR_NOMEM;
    for (size_t i = 0; i < count; i++)
        if (!jsondoc_text(jsondoc_at(list, i), &ret->at[ret->count++]))
            return why_set(why, -ERR_CONFIG, "catalog: \"%s\" must hold names", key);
    qsort(ret->at, ret->count, sizeof(*ret->at), name_compare);
    return 0;
}

static int rule_load(const struct jsondoc *rule, struct catalog_service *s, struct why *why)
{
    const struct {
        const char *part;
        struct names *names;
    } parts[] = {{"allow", &s->allow},
                 {"deny", &s->deny},
                 {"regions", &s->regions},
                 {"read", &s->read},
                 {"write", &s->write}};
    const struct jsondoc *value;
    void *cursor = NULL;
    struct str key;
    int r = 0;

    if (!jsondoc_is_object(rule))
        return why_set(why, -ERR_CONFIG, "catalog: the \"rule\" of " STR_FMT " must be an object",
                       STR_ARG(s->code));
    while (r == 0 && jsondoc_each(rule, &cursor, &key, &value)) {
        size_t i = 0;

        while (i < ARRAY_LEN(parts) && !str_eq(key, str_from(parts[i].part)))
            i++;
        r = i < ARRAY_LEN(parts)
                ? names_load(value, parts[i].part, parts[i].names, why)
                : why_set(why, -ERR_CONFIG,
                          "catalog: the rule of " STR_FMT " has no part \"" STR_FMT "\"",
                          STR_ARG(s->code), STR_ARG(key));
    }
    return r;
}

static void service_free(struct catalog_service *s)
{
    if (!s)
        return;
    free(s->allow.at);
    free(s->deny.at);
    free(s->regions.at);
    free(s->read.at);
    free(s->write.at);
    free(s);
}
AUTO_DEFINE(struct catalog_service, service_free)

static uint16_t *find_slot(const struct catalog *c, struct str code)
{
    size_t slot = code_slot(code);

    while (c->table[slot] && !str_eq_nocase(c->services[c->table[slot] - 1]->code, code))
        slot = (slot + 1) % TABLE_SIZE;
    return (uint16_t *)(uintptr_t)&c->table[slot];
}

static int service_add(struct catalog *c, const struct jsondoc *row, struct str code, bool replace,
                       struct why *why)
{
    AUTO(service_free) struct catalog_service *s = calloc(1, sizeof(*s));
    const struct jsondoc *rule = jsondoc_get(row, "rule");
    uint16_t *slot = find_slot(c, code);
    int r;

    if (!s)
        return -ERR_NOMEM;
    if (*slot && !replace)
        return 0;
    s->code = code;
    s->global = jsondoc_bool(row, "global");
    r = rule ? rule_load(rule, s, why) : 0;
    if (r < 0)
        return r;
    if (*slot) {
        service_free(c->services[*slot - 1]);
    } else {
        if (c->service_count == CATALOG_SERVICES_MAX)
            return why_set(why, -ERR_CONFIG, "catalog: more than %d services",
                           CATALOG_SERVICES_MAX);
        *slot = (uint16_t)(++c->service_count);
    }
    c->services[*slot - 1] = s;
    s = NULL;
    return 0;
}

static int services_add(struct catalog *c, const struct jsondoc *doc, bool replace, struct why *why)
{
    const struct jsondoc *rows = jsondoc_get(doc, "services");

    for (size_t i = 0; rows && i < jsondoc_len(rows); i++) {
        const struct jsondoc *row = jsondoc_at(rows, i), *codes = jsondoc_get(row, "codes");

        if (!codes || !jsondoc_is_array(codes) || jsondoc_len(codes) == 0)
            return why_set(why, -ERR_CONFIG, "catalog: service %zu has no \"codes\"", i + 1);
        for (size_t j = 0; j < jsondoc_len(codes); j++) {
            struct str code;
            int r;

            if (!jsondoc_text(jsondoc_at(codes, j), &code) || code.len == 0)
                return why_set(why, -ERR_CONFIG, "catalog: service %zu has an empty code", i + 1);
            r = service_add(c, row, code, replace, why);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int regions_add(struct catalog *c, const struct jsondoc *doc, struct why *why)
{
    const struct jsondoc *rows = jsondoc_get(doc, "regions");

    for (size_t i = 0; rows && i < jsondoc_len(rows); i++) {
        const struct jsondoc *row = jsondoc_at(rows, i);
        struct catalog_region region, *known;

        if (!jsondoc_str(row, "id", &region.id) || region.id.len == 0)
            return why_set(why, -ERR_CONFIG, "catalog: region %zu has no \"id\"", i + 1);
        region.name = jsondoc_str_or(row, "name", region.id);
        region.partition = jsondoc_str_or(row, "partition", STR("public"));
        region.topic_region = jsondoc_str_or(row, "topicRegion", region.id);
        region.deployed = jsondoc_bool(row, "deployed");
        known = (struct catalog_region *)(uintptr_t)catalog_region(c, region.id);
        if (!known && c->region_count == CATALOG_REGIONS_MAX)
            return why_set(why, -ERR_CONFIG, "catalog: more than %d regions", CATALOG_REGIONS_MAX);
        *(known ? known : &c->regions[c->region_count++]) = region;
    }
    return 0;
}

/* A document holds two lists and nothing else: what is spelled wrong would be left out silently. */
static int document_check(const struct jsondoc *doc, struct why *why)
{
    const struct jsondoc *value;
    void *cursor = NULL;
    struct str key;

    if (!jsondoc_is_object(doc))
        return why_set(why, -ERR_CONFIG,
                       "catalog: an object of \"regions\" and \"services\" was expected");
    while (jsondoc_each(doc, &cursor, &key, &value)) {
        if (!str_eq(key, STR("regions")) && !str_eq(key, STR("services")))
            return why_set(why, -ERR_CONFIG,
                           "catalog: \"" STR_FMT "\" is none of \"regions\" and \"services\"",
                           STR_ARG(key));
        if (!jsondoc_is_array(value))
            return why_set(why, -ERR_CONFIG, "catalog: \"" STR_FMT "\" must be a list",
                           STR_ARG(key));
    }
    return 0;
}

static int document_add(struct catalog *c, struct str text, bool overlay, struct why *why)
{
    struct why inner = {0};
    int r = jsondoc_parse(text, &c->docs[c->doc_count], &inner);

    if (r < 0)
        return why_set(why, r == -ERR_NOMEM ? r : -ERR_CONFIG, "catalog: %s", inner.text);
    c->doc_count++;
    r = document_check(c->docs[c->doc_count - 1], why);
    if (r == 0)
        r = regions_add(c, c->docs[c->doc_count - 1], why);
    return r < 0 ? r : services_add(c, c->docs[c->doc_count - 1], overlay, why);
}

int catalog_load(struct str overlay, struct catalog **ret, struct why *reterr_why)
{
    AUTO(catalog_free) struct catalog *c = calloc(1, sizeof(*c));
    int r;

    if (!c)
        return -ERR_NOMEM;
    r = document_add(
        c, str_of(catalog_regions_json, (size_t)(catalog_regions_json_end - catalog_regions_json)),
        false, reterr_why);
    if (r == 0)
        r = document_add(c,
                         str_of(catalog_services_json,
                                (size_t)(catalog_services_json_end - catalog_services_json)),
                         false, reterr_why);
    if (r == 0 && overlay.len)
        r = document_add(c, overlay, true, reterr_why);
    if (r < 0)
        return r;
    *ret = c;
    c = NULL;
    return 0;
}

void catalog_free(struct catalog *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->service_count; i++)
        service_free(c->services[i]);
    for (size_t i = 0; i < c->doc_count; i++)
        jsondoc_free(c->docs[i]);
    free(c);
}

const struct catalog_region *catalog_region(const struct catalog *c, struct str id)
{
    for (size_t i = 0; i < c->region_count; i++)
        if (str_eq(c->regions[i].id, id))
            return &c->regions[i];
    return NULL;
}

size_t catalog_region_count(const struct catalog *c)
{
    return c->region_count;
}

const struct catalog_region *catalog_region_at(const struct catalog *c, size_t i)
{
    CHECK(i < c->region_count);
    return &c->regions[i];
}

const struct catalog_service *catalog_service(const struct catalog *c, struct str code)
{
    uint16_t found = *find_slot(c, code);

    return found ? c->services[found - 1] : NULL;
}

size_t catalog_service_count(const struct catalog *c)
{
    return c->service_count;
}

bool catalog_global(const struct catalog_service *s)
{
    return s->global;
}

enum catalog_verdict catalog_judge(const struct catalog_service *s, struct str event_name,
                                   struct str acs_region)
{
    if (s->regions.count && !names_have(&s->regions, acs_region))
        return CATALOG_UNSUPPORTED_REGION;
    if (s->allow.count && !names_have(&s->allow, event_name))
        return CATALOG_DATA_EVENT;
    return names_have(&s->deny, event_name) ? CATALOG_DATA_EVENT : CATALOG_RECORDED;
}

bool catalog_reads(const struct catalog_service *s, struct str event_name)
{
    static const struct str verbs[] = {
        STR("Get"),      STR("List"),   STR("Describe"), STR("Query"), STR("Check"),
        STR("Lookup"),   STR("Search"), STR("Head"),     STR("Count"), STR("Preview"),
        STR("Download"), STR("Export"), STR("BatchGet")};

    if (s && names_have(&s->read, event_name))
        return true;
    if (s && names_have(&s->write, event_name))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (str_starts(event_name, verbs[i]))
            return true;
    return false;
}
