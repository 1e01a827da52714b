/* ram.c - policy documents, and what they say of a request. */
#include "ram/ram.h"

#include "jsondoc/jsondoc.h"

#define SHOWN_MAX 80 /* bytes of a foreign text in a message */

struct statement {
    bool allows;
    struct str *actions;
    size_t action_count;
    struct ram_resource *resources;
    size_t resource_count;
};

/* Texts are the document's. */
struct ram_policy {
    struct jsondoc *doc;
    struct statement *statements;
    size_t statement_count;
};

/* ---- matching ---------------------------------------------------------------------------------- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* '*' is tried as short as it can be, then longer: only the last one seen has to be tried again. */
static bool glob(struct str pattern, struct str text, bool any_case)
{
    size_t p = 0, t = 0, star = SIZE_MAX, star_t = 0;

    while (t < text.len) {
        if (p < pattern.len && pattern.at[p] == '*') {
            star = p++;
            star_t = t;
        } else if (p < pattern.len && (pattern.at[p] == text.at[t] ||
                                       (any_case && lower(pattern.at[p]) == lower(text.at[t])))) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++star_t;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.at[p] == '*')
        p++;
    return p == pattern.len;
}

static bool speaks_of(const struct statement *s, const struct ram_request *request)
{
    const struct ram_resource *have = &request->resource;
    bool found = false;

    for (size_t i = 0; i < s->action_count && !found; i++)
        found = glob(s->actions[i], request->action, true);
    if (!found)
        return false;
    for (size_t i = 0; i < s->resource_count; i++) {
        const struct ram_resource *want = &s->resources[i];

        if (glob(want->service, have->service, false) && glob(want->region, have->region, false) &&
            glob(want->account, have->account, false) &&
            glob(want->relative, have->relative, false))
            return true;
    }
    return false;
}

enum ram_verdict ram_policy_verdict(const struct ram_policy *policy,
                                    const struct ram_request *request)
{
    enum ram_verdict verdict = RAM_SILENT;

    for (size_t i = 0; i < policy->statement_count && verdict != RAM_FORBIDS; i++)
        if (speaks_of(&policy->statements[i], request))
            verdict = policy->statements[i].allows ? RAM_ALLOWS : RAM_FORBIDS;
    return verdict;
}

/* ---- reading ----------------------------------------------------------------------------------- */

struct reading {
    size_t number; /* of the statement, from 1 */
    struct why *why;
};

#define SHOWN(s) (int)MIN_OF((s).len, (size_t)SHOWN_MAX), (s).at

static int only_members(const struct jsondoc *doc, const struct str *names, size_t count,
                        struct str *reterr_name)
{
    const struct jsondoc *value;
    void *cursor = NULL;

    while (jsondoc_each(doc, &cursor, reterr_name, &value)) {
        size_t i = 0;

        while (i < count && !str_eq(names[i], *reterr_name))
            i++;
        if (i == count)
            return -ERR_INVALID;
    }
    return 0;
}

static bool action_valid(struct str action)
{
    static const char chars[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.*";
    struct str rest = action, service;

    if (str_eq(action, STR("*")))
        return true;
    if (!str_split(&rest, ':', &service) || !service.len || !rest.len)
        return false;
    for (size_t i = 0; i < action.len; i++)
        if (i != service.len && !strchr(chars, action.at[i]))
            return false;
    return true;
}

static bool resource_parse(struct str text, struct ram_resource *ret)
{
    static const struct str all = STR("*");
    struct str scheme;

    *ret = (struct ram_resource){all, all, all, all};
    if (str_eq(text, all))
        return true;
    if (!str_split(&text, ':', &scheme) || !str_eq(scheme, STR("acs")) ||
        !str_split(&text, ':', &ret->service) || !str_split(&text, ':', &ret->region) ||
        !str_split(&text, ':', &ret->account))
        return false;
    ret->relative = text;
    return ret->service.len && ret->relative.len;
}

/* `doc` is a text, or a list of texts: the i-th of them. */
static bool text_at(const struct jsondoc *doc, size_t i, struct str *ret)
{
    return jsondoc_text(jsondoc_is_array(doc) ? jsondoc_at(doc, i) : doc, ret);
}

static int count_texts(const struct reading *r, const struct jsondoc *doc, const char *name,
                       size_t *ret)
{
    struct str text;

    *ret = jsondoc_is_array(doc) ? jsondoc_len(doc) : 1;
    if (!doc || *ret == 0)
        return why_set(r->why, -ERR_INVALID, "statement %zu has no %s", r->number, name);
    if (*ret > RAM_PATTERNS_MAX)
        return why_set(r->why, -ERR_LIMIT, "statement %zu: %s lists more than %d", r->number, name,
                       RAM_PATTERNS_MAX);
    for (size_t i = 0; i < *ret; i++) {
        if (!text_at(doc, i, &text))
            return why_set(r->why, -ERR_INVALID, "statement %zu: %s must be a text or texts",
                           r->number, name);
        if (text.len > RAM_PATTERN_SIZE_MAX)
            return why_set(r->why, -ERR_LIMIT, "statement %zu: %s has one of over %d bytes",
                           r->number, name, RAM_PATTERN_SIZE_MAX);
    }
    return 0;
}

static int read_actions(const struct reading *r, const struct jsondoc *doc, struct statement *ret)
{
    int error = count_texts(r, doc, "Action", &ret->action_count);

    if (error < 0)
        return error;
    ret->actions = calloc(ret->action_count, sizeof(*ret->actions));
    if (!ret->actions)
        return -ERR_NOMEM;
    for (size_t i = 0; i < ret->action_count; i++) {
        (void)text_at(doc, i, &ret->actions[i]);
        if (!action_valid(ret->actions[i]))
            return why_set(r->why, -ERR_INVALID,
                           "statement %zu: \"%.*s\" is no action: * or service:Operation",
                           r->number, SHOWN(ret->actions[i]));
    }
    return 0;
}

static int read_resources(const struct reading *r, const struct jsondoc *doc, struct statement *ret)
{
    int error = count_texts(r, doc, "Resource", &ret->resource_count);
    struct str text;

    if (error < 0)
        return error;
    ret->resources = calloc(ret->resource_count, sizeof(*ret->resources));
    if (!ret->resources)
        return -ERR_NOMEM;
    for (size_t i = 0; i < ret->resource_count; i++) {
        (void)text_at(doc, i, &text);
        if (!resource_parse(text, &ret->resources[i]))
            return why_set(r->why, -ERR_INVALID,
                           "statement %zu: \"%.*s\" is no resource: * or "
                           "acs:service:region:account:name",
                           r->number, SHOWN(text));
    }
    return 0;
}

static int read_statement(const struct reading *r, const struct jsondoc *doc, struct statement *ret)
{
    static const struct str members[] = {STR("Effect"), STR("Action"), STR("Resource")};
    struct str effect = jsondoc_str_or(doc, "Effect", STR("")), name;
    int error;

    if (!jsondoc_is_object(doc))
        return why_set(r->why, -ERR_INVALID, "statement %zu is no object", r->number);
    if (only_members(doc, members, ARRAY_LEN(members), &name) < 0)
        return why_set(r->why, -ERR_INVALID,
                       "statement %zu: \"%.*s\" is not known here; Effect, Action and Resource are",
                       r->number, SHOWN(name));
    ret->allows = str_eq(effect, STR("Allow"));
    if (!ret->allows && !str_eq(effect, STR("Deny")))
        return why_set(r->why, -ERR_INVALID, "statement %zu: Effect must be Allow or Deny",
                       r->number);
    error = read_actions(r, jsondoc_get(doc, "Action"), ret);
    return error < 0 ? error : read_resources(r, jsondoc_get(doc, "Resource"), ret);
}

static int read_policy(struct ram_policy *policy, struct why *why)
{
    static const struct str members[] = {STR("Version"), STR("Statement")};
    const struct jsondoc *list = jsondoc_get(policy->doc, "Statement");
    struct reading reading = {.why = why};
    struct str name;
    int r = 0;

    if (!jsondoc_is_object(policy->doc))
        return why_set(why, -ERR_INVALID, "a policy must be a JSON object");
    if (only_members(policy->doc, members, ARRAY_LEN(members), &name) < 0)
        return why_set(why, -ERR_INVALID, "\"%.*s\" is not known here; Version and Statement are",
                       SHOWN(name));
    if (!str_eq(jsondoc_str_or(policy->doc, "Version", STR("")), STR("1")))
        return why_set(why, -ERR_INVALID, "Version must be \"1\"");
    if (!jsondoc_is_array(list) || jsondoc_len(list) == 0)
        return why_set(why, -ERR_INVALID, "Statement must be a list of statements");
    if (jsondoc_len(list) > RAM_STATEMENTS_MAX)
        return why_set(why, -ERR_LIMIT, "more than %d statements", RAM_STATEMENTS_MAX);
    policy->statements = calloc(jsondoc_len(list), sizeof(*policy->statements));
    if (!policy->statements)
        return -ERR_NOMEM;
    while (r == 0 && reading.number < jsondoc_len(list)) {
        const struct jsondoc *doc = jsondoc_at(list, reading.number++);

        r = read_statement(&reading, doc, &policy->statements[policy->statement_count++]);
    }
    return r;
}

int ram_policy_parse(struct str document, struct ram_policy **ret, struct why *reterr_why)
{
    AUTO(ram_policy_free) struct ram_policy *policy = NULL;
    int r;

    if (document.len > RAM_DOCUMENT_SIZE_MAX)
        return why_set(reterr_why, -ERR_LIMIT, "a policy of %zu bytes, at most %d", document.len,
                       RAM_DOCUMENT_SIZE_MAX);
    policy = calloc(1, sizeof(*policy));
    if (!policy)
        return -ERR_NOMEM;
    r = jsondoc_parse(document, &policy->doc, reterr_why);
    if (r == 0)
        r = read_policy(policy, reterr_why);
    if (r < 0)
        return r;
    *ret = policy;
    policy = NULL;
    return 0;
}

void ram_policy_free(struct ram_policy *policy)
{
    if (!policy)
        return;
    for (size_t i = 0; i < policy->statement_count; i++) {
        free(policy->statements[i].actions);
        free(policy->statements[i].resources);
    }
    free(policy->statements);
    jsondoc_free(policy->doc);
    free(policy);
}

/* ---- system policies --------------------------------------------------------------------------- */

/* Of the published ones what speaks of this service; their statements about roles of others have nobody to
 * speak to here. */
bool ram_system_policy(size_t i, struct str *ret_name, struct str *ret_document)
{
    static const struct {
        struct str name, document;
    } policies[] = {
        {STR("AliyunActionTrailFullAccess"),
         STR("{\"Version\":\"1\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"actiontrail:*\","
             "\"Resource\":\"*\"}]}")},
        {STR("AliyunActionTrailReadOnlyAccess"),
         STR("{\"Version\":\"1\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":["
             "\"actiontrail:Lookup*\",\"actiontrail:Describe*\",\"actiontrail:Get*\","
             "\"actiontrail:Check*\",\"actiontrail:List*\"],\"Resource\":\"*\"}]}")},
    };

    if (i >= ARRAY_LEN(policies))
        return false;
    *ret_name = policies[i].name;
    *ret_document = policies[i].document;
    return true;
}
