/* Records of `control`, one a line: a key, a space, a value; without a space a tombstone. All are applied twice. And
 * a version of a trail: what parses renders, and parses then to what renders the same. Every user that there is
 * may do something or not, twice the same.
 *
 * links: control
 */
#include "fuzz.h"

#include "control/control.h"

static void apply_all(struct control *control, struct str rest)
{
    struct str line, key;

    while (fuzz_line(&rest, &line)) {
        struct str value = line;
        struct why why = {0};
        int r;

        if (line.len == 0 || !str_split(&value, ' ', &key))
            continue;
        r = control_apply(control, key, value.at ? value : STR(""), !value.at, &why);
        CHECK(r == 0 || (r == 1 && why.text[0]) ||
              ((r == -ERR_INVALID || r == -ERR_CONFLICT || r == -ERR_LIMIT) && why.text[0]));
    }
}

struct totals {
    size_t accounts, keys, users, groups, policies, allowed, trails, versions;
};

static void count_rights(const struct control *control, struct totals *t)
{
    const struct ram_request request = {
        STR("actiontrail:StopLogging"),
        {STR("actiontrail"), STR("cn-hangzhou"), STR("1001"), STR("trail/a")}};
    const struct control_user *user;
    const struct control_group *group;
    const struct control_policy *policy;

    for (size_t i = 0; control_user_at(control, i, &user); i++) {
        if (!user)
            continue;
        CHECK(control_user(control, user->account, user->name) == user && user->id.len);
        t->users++;
        t->allowed += control_verdict(control, user->account, user->name, &request) == RAM_ALLOWS;
    }
    for (size_t i = 0; control_group_at(control, i, &group); i++)
        t->groups += group && control_group(control, group->account, group->name) == group;
    for (size_t i = 0; control_policy_at(control, i, &policy); i++)
        t->policies += policy != NULL;
}

static struct totals count_all(const struct control *control)
{
    const struct control_account *account;
    const struct control_key *access_key;
    const struct trail *trail = NULL;
    struct totals t = {0};

    for (size_t i = 0; control_account_at(control, i, &account); i++)
        t.accounts += account != NULL;
    for (size_t i = 0; control_key_at(control, i, &access_key); i++)
        t.keys += access_key != NULL;
    count_rights(control, &t);
    while ((trail = trail_book_all(control_trails(control), trail))) {
        const struct trail_version *latest = trail_latest(trail);
        const struct trail *own = NULL;

        t.trails++;
        t.versions += trail_version_count(trail);
        CHECK(trail_book_find(control_trails(control), trail_id(trail)) == trail);
        while ((own = trail_book_next(control_trails(control), latest->account, own)) != trail)
            CHECK(own);
        for (size_t i = 1; i < trail_version_count(trail); i++)
            CHECK(trail_version_at(trail, i - 1)->version < trail_version_at(trail, i)->version);
    }
    return t;
}

static void check_records(struct str text)
{
    AUTO(control_free) struct control *control = control_new();
    struct totals once, twice;

    CHECK(control);
    apply_all(control, text);
    once = count_all(control);
    apply_all(control, text);
    twice = count_all(control);
    CHECK(once.accounts == twice.accounts && once.keys == twice.keys &&
          once.trails == twice.trails && once.versions == twice.versions);
    CHECK(once.users == twice.users && once.groups == twice.groups &&
          once.policies == twice.policies && once.allowed == twice.allowed);
}

static void check_version(struct str text)
{
    AUTO(trail_version_free) struct trail_version *v = NULL, *again = NULL;
    AUTO_BUF struct buf once = {0}, twice = {0};
    struct why why = {0};
    int r = trail_version_parse(text, &v, &why);

    CHECK(r == 0 || ((r == -ERR_INVALID || r == -ERR_LIMIT) && why.text[0]));
    if (r < 0)
        return;
    buf_init(&once, 8 << 20);
    buf_init(&twice, 8 << 20);
    CHECK(trail_version_render(v, true, &once) == 0);
    CHECK(trail_version_parse(buf_str(&once), &again, NULL) == 0);
    CHECK(trail_version_render(again, true, &twice) == 0);
    CHECK(str_eq(buf_str(&once), buf_str(&twice)));
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    check_records(fuzz_input(at, len));
    check_version(fuzz_input(at, len));
    return 0;
}
