/* records.c - records of `control`, as they are written. */
#include "control/control.h"

#include "jsondoc/jsondoc.h"

/* A record while it is put together. */
struct record {
    struct jsondoc *doc;
    int error; /* the first */
};

static struct record begin(void)
{
    struct record record = {.doc = jsondoc_object()};

    record.error = record.doc ? 0 : -ERR_NOMEM;
    return record;
}

static void put_str(struct record *record, const char *member, struct str s)
{
    if (record->error == 0)
        record->error = jsondoc_set_str(record->doc, member, s);
}

static void put_i64(struct record *record, const char *member, int64_t n)
{
    if (record->error == 0)
        record->error = jsondoc_set_i64(record->doc, member, n);
}

static void put_names(struct record *record, const char *member, const struct control_names *names)
{
    struct jsondoc *list = jsondoc_array();

    for (size_t i = 0; list && i < names->count && record->error == 0; i++)
        record->error = str_is_utf8(names->at[i])
                            ? jsondoc_append(list, jsondoc_string(names->at[i]))
                            : -ERR_INVALID;
    if (record->error == 0)
        record->error = jsondoc_set(record->doc, member, list);
    else
        jsondoc_free(list);
}

static void end(struct record *record, struct buf *value)
{
    int r = record->error;

    if (r == 0)
        r = jsondoc_render(record->doc, value);
    if (r < 0 && value->error == 0)
        value->error = r;
    jsondoc_free(record->doc);
}

void control_account_record(const struct control_account *account, struct buf *key,
                            struct buf *value)
{
    struct record record = begin();

    buf_addf(key, "account/" STR_FMT, STR_ARG(account->id));
    put_str(&record, "account", account->id);
    put_str(&record, "name", account->name);
    put_i64(&record, "created", account->created_s);
    end(&record, value);
}

void control_key_record(const struct control_key *k, struct buf *key, struct buf *value)
{
    struct record record = begin();

    buf_addf(key, "key/" STR_FMT, STR_ARG(k->id));
    put_str(&record, "key", k->id);
    put_str(&record, "account", k->account);
    if (k->user.len)
        put_str(&record, "user", k->user);
    put_str(&record, "secret", k->sealed);
    if (record.error == 0)
        record.error = jsondoc_set_bool(record.doc, "active", k->active);
    put_i64(&record, "created", k->created_s);
    end(&record, value);
}

static struct record begin_named(const char *kind, struct str account, struct str name,
                                 int64_t created_s, struct buf *key)
{
    struct record record = begin();

    buf_addf(key, "%s/" STR_FMT "/" STR_FMT, kind, STR_ARG(account), STR_ARG(name));
    put_str(&record, "account", account);
    put_str(&record, "name", name);
    put_i64(&record, "created", created_s);
    return record;
}

void control_user_record(const struct control_user *u, struct buf *key, struct buf *value)
{
    struct record record = begin_named("user", u->account, u->name, u->created_s, key);

    put_str(&record, "id", u->id);
    put_names(&record, "groups", &u->groups);
    put_names(&record, "policies", &u->policies);
    end(&record, value);
}

void control_group_record(const struct control_group *g, struct buf *key, struct buf *value)
{
    struct record record = begin_named("group", g->account, g->name, g->created_s, key);

    put_names(&record, "policies", &g->policies);
    end(&record, value);
}

void control_policy_record(const struct control_policy *p, struct buf *key, struct buf *value)
{
    struct record record = begin_named("policy", p->account, p->name, p->created_s, key);

    put_str(&record, "document", p->document);
    end(&record, value);
}

void control_topic_record(struct str topic, struct str generation, bool growing, struct buf *key,
                          struct buf *value)
{
    struct record record = begin();

    buf_addf(key, "topic/" STR_FMT, STR_ARG(topic));
    put_str(&record, "topic", topic);
    put_str(&record, "generation", generation);
    if (growing && record.error == 0)
        record.error = jsondoc_set_bool(record.doc, "growing", true);
    end(&record, value);
}

void control_trail_key(const struct trail_version *version, struct buf *key)
{
    buf_addf(key, "trail/" STR_FMT "/%lld", STR_ARG(version->id), (long long)version->version);
}
