/* control.c - records of `control`, applied and looked up. */
#include "control/control.h"

#include "jsondoc/jsondoc.h"

#define SLOTS           4096
#define SYSTEM_POLICIES 2

/* What a record's newest value says. */
struct content {
    struct jsondoc *doc;      /* NULL: gone */
    struct str *names;        /* what lists of names are parts of */
    struct ram_policy *rules; /* of a policy */
    union {
        struct control_account account;
        struct control_key access_key;
        struct control_user user;
        struct control_group group;
        struct control_policy policy;
        struct str generation;
    };
};

/* In a list by arrival and in a hash slot. */
struct entry {
    char *key;
    struct content now;
    struct entry *next;
};

struct table {
    struct entry *slots[SLOTS];
    struct entry **list;
    size_t count, cap;
};

struct control {
    struct table accounts, keys, users, groups, policies, topics;
    struct control_policy system[SYSTEM_POLICIES];
    struct ram_policy *system_rules[SYSTEM_POLICIES];
    struct trail_book *trails;
};

static int load_system(struct control *c)
{
    for (size_t i = 0; i < SYSTEM_POLICIES; i++) {
        struct control_policy *p = &c->system[i];

        CHECK(ram_system_policy(i, &p->name, &p->document));
        p->account = STR("");
        if (ram_policy_parse(p->document, &c->system_rules[i], NULL) < 0)
            return -ERR_NOMEM;
        p->rules = c->system_rules[i];
    }
    return 0;
}

struct control *control_new(void)
{
    struct control *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->trails = trail_book_new();
    if (c->trails && load_system(c) == 0)
        return c;
    control_free(c);
    return NULL;
}

static void content_done(struct content *content)
{
    ram_policy_free(content->rules);
    free(content->names);
    jsondoc_free(content->doc);
}

static void table_done(struct table *t)
{
    for (size_t i = 0; i < t->count; i++) {
        content_done(&t->list[i]->now);
        free(t->list[i]->key);
        free(t->list[i]);
    }
    free(t->list);
}

void control_free(struct control *c)
{
    if (!c)
        return;
    table_done(&c->accounts);
    table_done(&c->keys);
    table_done(&c->users);
    table_done(&c->groups);
    table_done(&c->policies);
    table_done(&c->topics);
    for (size_t i = 0; i < SYSTEM_POLICIES; i++)
        ram_policy_free(c->system_rules[i]);
    trail_book_free(c->trails);
    free(c);
}

static struct entry *table_find(const struct table *t, struct str key)
{
    struct entry *e = t->slots[str_hash(key, 3) % SLOTS];

    while (e && !str_eq(str_from(e->key), key))
        e = e->next;
    return e;
}

static struct entry *table_get(struct table *t, struct str key)
{
    struct entry *e = table_find(t, key), **slot = &t->slots[str_hash(key, 3) % SLOTS];

    if (e)
        return e;
    if (t->count == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 64;
        struct entry **list = realloc(t->list, cap * sizeof(struct entry *));

        if (!list)
            return NULL;
        t->list = list;
        t->cap = cap;
    }
    e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    e->key = str_dup(key);
    if (!e->key) {
        free(e);
        return NULL;
    }
    e->next = *slot;
    *slot = e;
    t->list[t->count++] = e;
    return e;
}

/* ---- applying ---------------------------------------------------------------------------------- */

/* "<account>/<name>" */
static bool split_name(struct str key, struct str *ret_account, struct str *ret_name)
{
    *ret_name = key;
    return str_split(ret_name, '/', ret_account) && ret_account->len && ret_name->len;
}

static int fill_account(struct content *c, struct str key)
{
    c->account = (struct control_account){
        .id = key,
        .name = jsondoc_str_or(c->doc, "name", STR("")),
        .created_s = jsondoc_i64_or(c->doc, "created", 0),
    };
    return 0;
}

static int fill_key(struct content *c, struct str key)
{
    c->access_key = (struct control_key){
        .id = key,
        .account = jsondoc_str_or(c->doc, "account", STR("")),
        .user = jsondoc_str_or(c->doc, "user", STR("")),
        .sealed = jsondoc_str_or(c->doc, "secret", STR("")),
        .active = jsondoc_bool(c->doc, "active"),
        .created_s = jsondoc_i64_or(c->doc, "created", 0),
    };
    return c->access_key.account.len && c->access_key.sealed.len ? 0 : -ERR_INVALID;
}

static int fill_topic(struct content *c, struct str key)
{
    (void)key;
    c->generation = jsondoc_str_or(c->doc, "generation", STR(""));
    return c->generation.len ? 0 : -ERR_INVALID;
}

/* Room for the names of these lists; NULL without memory. */
static struct str *room_for(const struct jsondoc *a, const struct jsondoc *b)
{
    return calloc(jsondoc_len(a) + jsondoc_len(b) + 1, sizeof(struct str));
}

static int read_names(const struct jsondoc *list, struct str *to, struct control_names *ret)
{
    *ret = (struct control_names){to, jsondoc_len(list)};
    if (ret->count > CONTROL_NAMES_MAX)
        return -ERR_INVALID;
    for (size_t i = 0; i < ret->count; i++)
        if (!jsondoc_text(jsondoc_at(list, i), &to[i]))
            return -ERR_INVALID;
    return 0;
}

static int fill_user(struct content *c, struct str key)
{
    const struct jsondoc *groups = jsondoc_get(c->doc, "groups");
    const struct jsondoc *policies = jsondoc_get(c->doc, "policies");
    struct control_user *u = &c->user;

    *u = (struct control_user){
        .id = jsondoc_str_or(c->doc, "id", STR("")),
        .created_s = jsondoc_i64_or(c->doc, "created", 0),
    };
    if (!split_name(key, &u->account, &u->name) || !control_name_valid(u->name) || !u->id.len)
        return -ERR_INVALID;
    c->names = room_for(groups, policies);
    if (!c->names)
        return -ERR_NOMEM;
    if (read_names(groups, c->names, &u->groups) < 0)
        return -ERR_INVALID;
    return read_names(policies, c->names + u->groups.count, &u->policies);
}

static int fill_group(struct content *c, struct str key)
{
    const struct jsondoc *policies = jsondoc_get(c->doc, "policies");
    struct control_group *g = &c->group;

    *g = (struct control_group){.created_s = jsondoc_i64_or(c->doc, "created", 0)};
    if (!split_name(key, &g->account, &g->name) || !control_name_valid(g->name))
        return -ERR_INVALID;
    c->names = room_for(policies, NULL);
    return c->names ? read_names(policies, c->names, &g->policies) : -ERR_NOMEM;
}

/* A document that is not understood is kept without rules: it will forbid everything. */
static int fill_policy(struct content *c, struct str key)
{
    struct control_policy *p = &c->policy;

    *p = (struct control_policy){
        .document = jsondoc_str_or(c->doc, "document", STR("")),
        .created_s = jsondoc_i64_or(c->doc, "created", 0),
    };
    if (!split_name(key, &p->account, &p->name) || !control_policy_name_valid(p->name))
        return -ERR_INVALID;
    if (ram_policy_parse(p->document, &c->rules, NULL) == -ERR_NOMEM)
        return -ERR_NOMEM;
    p->rules = c->rules;
    return 0;
}

typedef int fill_fn(struct content *content, struct str key);

/* Slices are of the entry's own key, so that it is there before its content. */
static int apply_to(struct table *t, struct str name, struct str value, bool tombstone,
                    fill_fn *fill, struct why *why)
{
    struct entry *e = tombstone ? table_find(t, name) : table_get(t, name);
    struct content content = {0};
    int r = 0;

    if (!e)
        return tombstone ? 0 : -ERR_NOMEM;
    if (!tombstone) {
        r = jsondoc_parse(value, &content.doc, why);
        if (r == 0)
            r = jsondoc_is_object(content.doc) ? fill(&content, str_from(e->key)) : -ERR_INVALID;
        if (r == -ERR_INVALID && why && !why->text[0])
            (void)why_set(why, r, "lacks what it needs");
    }
    if (r < 0) {
        content_done(&content);
        if (fill != fill_topic || r == -ERR_NOMEM)
            return r;
        content = (struct content){0}; /* an older generation would be another log's */
    }
    content_done(&e->now);
    e->now = content;
    return r;
}

/* "<id>/<version>"; a name of another form is the id of a trail that has no sensible version. */
static void split_trail(struct str name, struct str *ret_id, int64_t *ret_version)
{
    struct str version = name;

    if (!str_split(&version, '/', ret_id) || !str_to_i64(version, ret_version)) {
        *ret_id = name;
        *ret_version = 0;
    }
}

static int add_version(struct control *c, struct str id, int64_t version, struct str value,
                       struct why *why)
{
    struct trail_version *v = NULL;
    int r = trail_version_parse(value, &v, why);

    if (r < 0)
        return r;
    if (!str_eq(v->id, id) || v->version != version) {
        trail_version_free(v);
        return why_set(why, -ERR_INVALID, "is another version than its key says");
    }
    r = trail_book_add(c->trails, v, why);
    return r < 0 ? r : 0;
}

/* A version that cannot be read leaves its trail in doubt, until a record of the same key can, or a tombstone says that
 * the version is superseded, and below every log's start: later ones say all. */
static int apply_trail(struct control *c, struct str name, struct str value, bool tombstone,
                       struct why *why)
{
    struct str id;
    int64_t version;
    int r = 0, doubted;

    split_trail(name, &id, &version);
    if (!tombstone)
        r = add_version(c, id, version, value, why);
    if (r == 0)
        trail_book_trust(c->trails, id, version);
    if (r != -ERR_INVALID && r != -ERR_CONFLICT)
        return r;
    doubted = trail_book_doubt(c->trails, id, version);
    return doubted < 0 ? doubted : r;
}

/* Where records of a kind go; NULL: nobody here knows it. */
static struct table *table_of(struct control *c, struct str kind, fill_fn **ret_fill)
{
    const struct {
        struct str kind;
        struct table *table;
        fill_fn *fill;
    } kinds[] = {
        {STR("account"), &c->accounts, fill_account}, {STR("key"), &c->keys, fill_key},
        {STR("user"), &c->users, fill_user},          {STR("group"), &c->groups, fill_group},
        {STR("policy"), &c->policies, fill_policy},   {STR("topic"), &c->topics, fill_topic},
    };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (str_eq(kinds[i].kind, kind)) {
            *ret_fill = kinds[i].fill;
            return kinds[i].table;
        }
    }
    return NULL;
}

int control_apply(struct control *c, struct str key, struct str value, bool tombstone,
                  struct why *reterr_why)
{
    struct why inner = {0};
    struct str name = key, kind;
    struct table *table;
    fill_fn *fill;
    int r = 0;

    if (key.len == 0 || key.len > CONTROL_KEY_SIZE_MAX || memchr(key.at, '\0', key.len) ||
        !str_split(&name, '/', &kind))
        return why_set(reterr_why, -ERR_INVALID, "a record of control without a sensible key");
    table = table_of(c, kind, &fill);
    if (name.len == 0 && (table || str_eq(kind, STR("trail"))))
        r = why_set(&inner, -ERR_INVALID, "names nothing");
    else if (table)
        r = apply_to(table, name, value, tombstone, fill, &inner);
    else if (str_eq(kind, STR("trail")))
        r = apply_trail(c, name, value, tombstone, &inner);
    else if (!tombstone)
        return why_set(reterr_why, 1, "control, " STR_FMT ": of a kind that is not known here",
                       STR_ARG(key));
    return r < 0 ? why_set(reterr_why, r, "control, " STR_FMT ": %s", STR_ARG(key), inner.text) : 0;
}

/* ---- looking up -------------------------------------------------------------------------------- */

static const struct content *find(const struct table *t, struct str key)
{
    const struct entry *e = table_find(t, key);

    return e && e->now.doc ? &e->now : NULL;
}

static const struct content *find_of(const struct table *t, struct str account, struct str name)
{
    char text[CONTROL_KEY_SIZE_MAX];
    struct str key = {text, account.len + 1 + name.len};

    if (!account.len || !name.len || key.len > sizeof(text))
        return NULL;
    memcpy(text, account.at, account.len);
    text[account.len] = '/';
    memcpy(text + account.len + 1, name.at, name.len);
    return find(t, key);
}

static bool at(const struct table *t, size_t i, const struct content **ret)
{
    if (i >= t->count)
        return false;
    *ret = t->list[i]->now.doc ? &t->list[i]->now : NULL;
    return true;
}

const struct control_account *control_account(const struct control *c, struct str id)
{
    const struct content *found = find(&c->accounts, id);

    return found ? &found->account : NULL;
}

const struct control_key *control_key(const struct control *c, struct str id)
{
    const struct content *found = find(&c->keys, id);

    return found ? &found->access_key : NULL;
}

const struct control_user *control_user(const struct control *c, struct str account,
                                        struct str name)
{
    const struct content *found = find_of(&c->users, account, name);

    return found ? &found->user : NULL;
}

const struct control_group *control_group(const struct control *c, struct str account,
                                          struct str name)
{
    const struct content *found = find_of(&c->groups, account, name);

    return found ? &found->group : NULL;
}

const struct control_policy *control_policy(const struct control *c, struct str account,
                                            struct str name)
{
    const struct content *found;

    for (size_t i = 0; i < SYSTEM_POLICIES; i++)
        if (str_eq(c->system[i].name, name))
            return &c->system[i];
    found = find_of(&c->policies, account, name);
    return found ? &found->policy : NULL;
}

struct str control_generation(const struct control *c, struct str topic)
{
    const struct content *found = find(&c->topics, topic);

    return found ? found->generation : STR("");
}

bool control_growing(const struct control *c)
{
    const struct content *found;

    for (size_t i = 0; at(&c->topics, i, &found); i++)
        if (found && jsondoc_bool(found->doc, "growing"))
            return true;
    return false;
}

const struct trail_book *control_trails(const struct control *c)
{
    return c->trails;
}

struct trail_book *control_trails_mutable(struct control *c)
{
    return c->trails;
}

bool control_account_at(const struct control *c, size_t i, const struct control_account **ret)
{
    const struct content *found;

    if (!at(&c->accounts, i, &found))
        return false;
    *ret = found ? &found->account : NULL;
    return true;
}

bool control_key_at(const struct control *c, size_t i, const struct control_key **ret)
{
    const struct content *found;

    if (!at(&c->keys, i, &found))
        return false;
    *ret = found ? &found->access_key : NULL;
    return true;
}

bool control_user_at(const struct control *c, size_t i, const struct control_user **ret)
{
    const struct content *found;

    if (!at(&c->users, i, &found))
        return false;
    *ret = found ? &found->user : NULL;
    return true;
}

bool control_group_at(const struct control *c, size_t i, const struct control_group **ret)
{
    const struct content *found;

    if (!at(&c->groups, i, &found))
        return false;
    *ret = found ? &found->group : NULL;
    return true;
}

bool control_policy_at(const struct control *c, size_t i, const struct control_policy **ret)
{
    const struct content *found;

    if (i < SYSTEM_POLICIES) {
        *ret = &c->system[i];
        return true;
    }
    if (!at(&c->policies, i - SYSTEM_POLICIES, &found))
        return false;
    *ret = found ? &found->policy : NULL;
    return true;
}
