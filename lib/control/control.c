/* control.c - records of `control`, applied and written. */
#include "control/control.h"

#include "jsondoc/jsondoc.h"

#define SLOTS 4096

/* One value, newest; in a list by arrival and in a hash slot. */
struct entry {
    char *key;
    struct jsondoc *doc; /* NULL: gone */
    union {
        struct control_account account;
        struct control_key access_key;
        struct str generation;
    };
    struct entry *next;
};

struct table {
    struct entry *slots[SLOTS];
    struct entry **list;
    size_t count, cap;
};

struct control {
    struct table accounts, keys, topics;
    struct trail_book *trails;
};

struct control *control_new(void)
{
    struct control *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->trails = trail_book_new();
    if (c->trails)
        return c;
    free(c);
    return NULL;
}

static void table_done(struct table *t)
{
    for (size_t i = 0; i < t->count; i++) {
        jsondoc_free(t->list[i]->doc);
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
    table_done(&c->topics);
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

static int fill_account(struct entry *e)
{
    e->account = (struct control_account){
        .id = str_from(e->key),
        .name = jsondoc_str_or(e->doc, "name", STR("")),
        .created_s = jsondoc_i64_or(e->doc, "created", 0),
    };
    return 0;
}

static int fill_key(struct entry *e)
{
    e->access_key = (struct control_key){
        .id = str_from(e->key),
        .account = jsondoc_str_or(e->doc, "account", STR("")),
        .sealed = jsondoc_str_or(e->doc, "secret", STR("")),
        .active = jsondoc_bool(e->doc, "active"),
        .created_s = jsondoc_i64_or(e->doc, "created", 0),
    };
    return e->access_key.account.len && e->access_key.sealed.len ? 0 : -ERR_INVALID;
}

static int fill_topic(struct entry *e)
{
    e->generation = jsondoc_str_or(e->doc, "generation", STR(""));
    return e->generation.len ? 0 : -ERR_INVALID;
}

static int apply_to(struct table *t, struct str name, struct str value, bool tombstone,
                    int (*fill)(struct entry *e), struct why *why)
{
    AUTO(jsondoc_free) struct jsondoc *doc = NULL;
    struct entry *e, probe;
    int r;

    if (!tombstone) {
        r = jsondoc_parse(value, &doc, why);
        if (r < 0)
            return r;
        probe = (struct entry){.key = "", .doc = doc};
        if (!jsondoc_is_object(doc) || fill(&probe) < 0)
            return why_set(why, -ERR_INVALID, "lacks what it needs");
    }
    e = tombstone ? table_find(t, name) : table_get(t, name);
    if (!e)
        return tombstone ? 0 : -ERR_NOMEM;
    jsondoc_free(e->doc);
    e->doc = doc;
    doc = NULL;
    return e->doc ? fill(e) : 0;
}

static int apply_trail(struct control *c, struct str value, bool tombstone, struct why *why)
{
    struct trail_version *v = NULL;
    int r;

    if (tombstone) /* superseded, and below every log's start: later versions say all */
        return 0;
    r = trail_version_parse(value, &v, why);
    if (r < 0)
        return r;
    r = trail_book_add(c->trails, v, why);
    return r < 0 ? r : 0;
}

static bool is_known(struct str kind)
{
    return str_eq(kind, STR("account")) || str_eq(kind, STR("key")) || str_eq(kind, STR("topic")) ||
           str_eq(kind, STR("trail"));
}

int control_apply(struct control *c, struct str key, struct str value, bool tombstone,
                  struct why *reterr_why)
{
    struct why inner = {0};
    struct str name = key, kind;
    int r = 0;

    if (key.len == 0 || key.len > CONTROL_KEY_SIZE_MAX || memchr(key.at, '\0', key.len) ||
        !str_split(&name, '/', &kind))
        return why_set(reterr_why, -ERR_INVALID, "a record of control without a sensible key");
    if (name.len == 0 && is_known(kind))
        return why_set(reterr_why, -ERR_INVALID, "control, " STR_FMT ": names nothing",
                       STR_ARG(key));
    if (str_eq(kind, STR("account")))
        r = apply_to(&c->accounts, name, value, tombstone, fill_account, &inner);
    else if (str_eq(kind, STR("key")))
        r = apply_to(&c->keys, name, value, tombstone, fill_key, &inner);
    else if (str_eq(kind, STR("topic")))
        r = apply_to(&c->topics, name, value, tombstone, fill_topic, &inner);
    else if (str_eq(kind, STR("trail")))
        r = apply_trail(c, value, tombstone, &inner);
    return r < 0 ? why_set(reterr_why, r, "control, " STR_FMT ": %s", STR_ARG(key), inner.text) : 0;
}

/* ---- looking up -------------------------------------------------------------------------------- */

const struct control_account *control_account(const struct control *c, struct str id)
{
    const struct entry *e = table_find(&c->accounts, id);

    return e && e->doc ? &e->account : NULL;
}

const struct control_key *control_key(const struct control *c, struct str id)
{
    const struct entry *e = table_find(&c->keys, id);

    return e && e->doc ? &e->access_key : NULL;
}

struct str control_generation(const struct control *c, struct str topic)
{
    const struct entry *e = table_find(&c->topics, topic);

    return e && e->doc ? e->generation : STR("");
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
    if (i >= c->accounts.count)
        return false;
    *ret = c->accounts.list[i]->doc ? &c->accounts.list[i]->account : NULL;
    return true;
}

bool control_key_at(const struct control *c, size_t i, const struct control_key **ret)
{
    if (i >= c->keys.count)
        return false;
    *ret = c->keys.list[i]->doc ? &c->keys.list[i]->access_key : NULL;
    return true;
}

/* ---- writing ----------------------------------------------------------------------------------- */

/* The document's text as a record's value; `r`: how building it went. */
static void render(const struct jsondoc *doc, int r, struct buf *value)
{
    if (r == 0)
        r = jsondoc_render(doc, value);
    if (r < 0 && value->error == 0)
        value->error = r;
}

void control_account_record(const struct control_account *account, struct buf *key,
                            struct buf *value)
{
    AUTO(jsondoc_free) struct jsondoc *doc = jsondoc_object();
    int r = doc ? 0 : -ERR_NOMEM;

    buf_addf(key, "account/" STR_FMT, STR_ARG(account->id));
    if (r == 0 && (r = jsondoc_set_str(doc, "account", account->id)) == 0 &&
        (r = jsondoc_set_str(doc, "name", account->name)) == 0)
        r = jsondoc_set_i64(doc, "created", account->created_s);
    render(doc, r, value);
}

void control_key_record(const struct control_key *k, struct buf *key, struct buf *value)
{
    AUTO(jsondoc_free) struct jsondoc *doc = jsondoc_object();
    int r = doc ? 0 : -ERR_NOMEM;

    buf_addf(key, "key/" STR_FMT, STR_ARG(k->id));
    if (r == 0 && (r = jsondoc_set_str(doc, "key", k->id)) == 0 &&
        (r = jsondoc_set_str(doc, "account", k->account)) == 0 &&
        (r = jsondoc_set_str(doc, "secret", k->sealed)) == 0 &&
        (r = jsondoc_set_bool(doc, "active", k->active)) == 0)
        r = jsondoc_set_i64(doc, "created", k->created_s);
    render(doc, r, value);
}

void control_topic_record(struct str topic, struct str generation, struct buf *key,
                          struct buf *value)
{
    AUTO(jsondoc_free) struct jsondoc *doc = jsondoc_object();
    int r = doc ? 0 : -ERR_NOMEM;

    buf_addf(key, "topic/" STR_FMT, STR_ARG(topic));
    if (r == 0 && (r = jsondoc_set_str(doc, "topic", topic)) == 0)
        r = jsondoc_set_str(doc, "generation", generation);
    render(doc, r, value);
}

void control_trail_key(const struct trail_version *version, struct buf *key)
{
    buf_addf(key, "trail/" STR_FMT "/%lld", STR_ARG(version->id), (long long)version->version);
}

/* ---- secrets ----------------------------------------------------------------------------------- */

int control_secret_seal(const struct crypto_key *master, struct str key_id, struct str secret,
                        struct buf *out)
{
    struct crypto_key key = crypto_derive(master, STR("access key secrets"));
    AUTO_BUF struct buf sealed = {0};
    int r;

    buf_init(&sealed, 4096);
    r = crypto_seal(&key, key_id, secret, &sealed);
    if (r == 0)
        buf_add_base64(out, sealed.at, sealed.len);
    crypto_wipe(&key, sizeof(key));
    return r < 0 ? r : buf_error(out);
}

int control_secret_open(const struct crypto_key *master, const struct control_key *k,
                        struct buf *out)
{
    struct crypto_key key = crypto_derive(master, STR("access key secrets"));
    AUTO_BUF struct buf sealed = {0};
    int r;

    buf_init(&sealed, 4096);
    r = buf_add_base64_decoded(&sealed, k->sealed);
    if (r == 0)
        r = crypto_open(&key, k->id, buf_str(&sealed), out);
    crypto_wipe(&key, sizeof(key));
    return r;
}

/* Uniform over the alphabet: bytes that would favour its beginning are drawn again. */
static void make_name(char *to, size_t len, struct str alphabet)
{
    unsigned limit = 256 - 256 % (unsigned)alphabet.len;

    for (size_t i = 0; i < len;) {
        unsigned char b;

        crypto_random(&b, 1);
        if (b < limit)
            to[i++] = alphabet.at[b % alphabet.len];
    }
    to[len] = '\0';
}

static const struct str alphanumerics =
    STR("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");

void control_make_account_id(char ret[ACCOUNT_ID_SIZE + 1])
{
    make_name(ret, ACCOUNT_ID_SIZE, STR("0123456789"));
    ret[0] = '1';
}

void control_make_key_id(char ret[ACCESS_KEY_ID_SIZE + 1])
{
    memcpy(ret, "LTAI", 4);
    make_name(ret + 4, ACCESS_KEY_ID_SIZE - 4, alphanumerics);
}

void control_make_secret(char ret[ACCESS_KEY_SECRET_SIZE + 1])
{
    make_name(ret, ACCESS_KEY_SECRET_SIZE, alphanumerics);
}
