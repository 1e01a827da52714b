/* test_operator.c - an operator's commands: topics and generations, accounts and keys.
 *
 * services: kafka redis
 */
#include <stdio.h>
#include <unistd.h>

#include "cli/deployment.h"
#include "jsondoc/jsondoc.h"

#include "trailctl.h"

struct world {
    char directory[32], config[64]; /* the configuration of commands that name none */
    struct deployment deployment;
    struct cli cli;
};

static struct why why;

static void must(int r)
{
    if (r < 0)
        fail_msg("%s: %s", err_name(r), why.text);
}

static struct control *view(struct world *w)
{
    struct control *control = NULL;

    must(control_view(&w->deployment, &control, &why));
    return control;
}

static void write_generation(struct world *w, struct str topic, struct str generation)
{
    AUTO(control_pen_close) struct control_pen *pen = NULL;
    AUTO_BUF struct buf key = {0}, value = {0};

    buf_init(&key, 1000);
    buf_init(&value, 1000);
    control_topic_record(topic, generation, false, &key, &value);
    must(control_pen_open(&w->deployment, &pen, &why));
    must(control_pen_write(pen, buf_str(&key), generation.len ? buf_str(&value) : STR_NONE, &why));
    must(control_pen_commit(pen, &why));
}

/* A configuration of these regions, with so many partitions. */
static void write_config(const struct world *w, const char *path, const char *regions,
                         int partitions)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    (void)fprintf(file,
                  "bus: { brokers = \"%s\"; };\nstate: { redis = \"unix:/none\"; };\n"
                  "topology: { regions = [%s]; partitions = %d; };\n"
                  "security: { master_key_file = \"%s/master.key\"; };\n"
                  "delivery: { whatever = 1; };\n", /* not read by trailctl */
                  getenv("TRAILBUS_KAFKA"), regions, partitions, w->directory);
    (void)fclose(file);
}

static void write_key(const struct world *w)
{
    char path[64];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/master.key", w->directory);
    file = fopen(path, "we");
    assert_non_null(file);
    (void)fprintf(file, "%064d\n", 7);
    (void)fclose(file);
}

static int setup(void **state)
{
    static struct world w = {.directory = TEMPORARY("/tmp/trailctl")};

    trailctl_find();
    assert_non_null(mkdtemp(w.directory));
    (void)snprintf(w.config, sizeof(w.config), "%s/trailbus.conf", w.directory);
    write_key(&w);
    write_config(&w, w.config, "\"cn-hangzhou\"", 4);
    setenv("TRAILBUS_CONFIG", w.config, 1);
    *state = &w;
    must(deployment_open(&w.cli, &w.deployment, &why));
    assert_int_equal(trailctl_run("account list"), 1);
    assert_true(trailctl_said("run `trailctl topics apply`"));
    assert_int_equal(trailctl_run("topics apply"), 0);
    assert_true(trailctl_said("7 topics: 7 created"));
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    char path[64];

    deployment_close(&w->deployment);
    (void)snprintf(path, sizeof(path), "%s/master.key", w->directory);
    (void)unlink(path);
    (void)unlink(w->config);
    (void)rmdir(w->directory);
    return 0;
}

static void each_topic_has_a_generation_of_its_own(void **state)
{
    AUTO(control_free) struct control *control = view(*state);
    struct str raw = control_generation(control, STR("raw.cn-hangzhou"));
    struct str events = control_generation(control, STR("events.cn-hangzhou"));

    assert_int_equal(raw.len, UUID_SIZE - 1);
    assert_int_equal(events.len, UUID_SIZE - 1);
    assert_false(str_eq(raw, events));
    assert_int_equal(control_generation(control, STR("control")).len, UUID_SIZE - 1);
    assert_int_equal(control_generation(control, STR("global")).len, UUID_SIZE - 1);
}

static void applying_again_changes_nothing(void **state)
{
    struct world *w = *state;
    AUTO(control_free) struct control *before = view(w), *after = NULL;

    assert_int_equal(trailctl_run("topics apply"), 0);
    assert_true(trailctl_said("0 created, 0 grown, 0 numbered, 7 unchanged"));
    after = view(w);
    assert_str_eq(control_generation(after, STR("events.cn-hangzhou")),
                  control_generation(before, STR("events.cn-hangzhou")));
}

static void a_topic_without_a_generation_gets_one(void **state)
{
    struct world *w = *state;
    AUTO(control_free) struct control *after = NULL;

    write_generation(w, STR("global"), STR(""));
    assert_int_equal(trailctl_run("topics apply"), 0);
    assert_true(trailctl_said("0 created, 0 grown, 1 numbered, 6 unchanged"));
    after = view(w);
    assert_int_equal(control_generation(after, STR("global")).len, UUID_SIZE - 1);
}

/* With another configuration: these regions, so many partitions. */
static int apply(struct world *w, const char *regions, int partitions)
{
    char path[96], words[160];
    int code;

    (void)snprintf(path, sizeof(path), "%s.other", w->config);
    write_config(w, path, regions, partitions);
    (void)snprintf(words, sizeof(words), "topics apply --config %s", path);
    code = trailctl_run(words);
    (void)unlink(path);
    return code;
}

/* `control` knows a topic that is gone: whoever kept its offsets must not go on with them. */
static void a_topic_made_anew_gets_a_new_generation(void **state)
{
    struct world *w = *state;
    AUTO(control_free) struct control *after = NULL;

    write_generation(w, STR("raw.eu-west-1"), STR("an-older-life"));
    assert_int_equal(apply(w, "\"cn-hangzhou\", \"eu-west-1\"", 2), 0);
    assert_true(trailctl_said("11 topics: 4 created, 0 grown, 0 numbered, 7 unchanged"));
    assert_true(trailctl_said("never taken away"));
    after = view(w);
    assert_int_equal(control_generation(after, STR("raw.eu-west-1")).len, UUID_SIZE - 1);
}

static void partitions_are_added_and_the_generation_stays(void **state)
{
    struct world *w = *state;
    AUTO(control_free) struct control *before = view(w), *after = NULL;

    assert_int_equal(apply(w, "\"cn-hangzhou\"", 15), 0);
    assert_true(trailctl_said("7 topics: 0 created, 5 grown, 0 numbered, 2 unchanged"));
    assert_true(trailctl_said("15 partitions"));
    after = view(w);
    assert_false(control_growing(after));
    assert_str_eq(control_generation(after, STR("events.cn-hangzhou")),
                  control_generation(before, STR("events.cn-hangzhou")));
}

/* Stopped while partitions were being added, no trail can be changed; another run takes the mark away. */
static void a_mark_that_was_left_is_taken_away(void **state)
{
    struct world *w = *state;
    AUTO(control_pen_close) struct control_pen *pen = NULL;
    AUTO(control_free) struct control *between = NULL, *after = NULL;
    AUTO_BUF struct buf key = {0}, value = {0};

    buf_init(&key, 1000);
    buf_init(&value, 1000);
    control_topic_record(STR("global"), STR("G"), true, &key, &value);
    must(control_pen_open(&w->deployment, &pen, &why));
    must(control_pen_write(pen, buf_str(&key), buf_str(&value), &why));
    must(control_pen_commit(pen, &why));
    between = view(w);
    assert_true(control_growing(between));
    assert_int_equal(apply(w, "\"cn-hangzhou\"", 15), 0);
    after = view(w);
    assert_false(control_growing(after));
    assert_str_eq(control_generation(after, STR("global")), STR("G"));
}

static void of_two_who_change_control_the_older_fails(void **state)
{
    struct world *w = *state;
    AUTO(control_pen_close) struct control_pen *older = NULL, *newer = NULL;
    AUTO(control_free) struct control *after = NULL;

    must(control_pen_open(&w->deployment, &older, &why));
    must(control_pen_write(older, STR("topic/x"), STR("{\"topic\":\"x\",\"generation\":\"1\"}"),
                           &why));
    must(control_pen_open(&w->deployment, &newer, &why));
    must(control_pen_write(newer, STR("topic/x"), STR("{\"topic\":\"x\",\"generation\":\"2\"}"),
                           &why));
    must(control_pen_commit(newer, &why));
    assert_true(control_pen_commit(older, &why) < 0);
    after = view(w);
    assert_str_eq(control_generation(after, STR("x")), STR("2"));
}

static struct str member(const struct jsondoc *doc, const char *name)
{
    struct str value = STR("");

    assert_true(jsondoc_str(doc, name, &value));
    return value;
}

static void an_account_has_a_key_whose_secret_is_sealed(void **state)
{
    struct world *w = *state;
    AUTO(jsondoc_free) struct jsondoc *made = NULL;
    AUTO(control_free) struct control *control = NULL;
    AUTO_BUF struct buf secret = {0};
    const struct control_account *account;
    const struct control_key *key;
    struct crypto_key master;

    assert_int_equal(trailctl_run("account create --json --name Sales"), 0);
    must(jsondoc_parse(str_trim(str_from(trailctl_output)), &made, &why));
    control = view(w);
    account = control_account(control, member(made, "accountId"));
    key = control_key(control, member(made, "accessKeyId"));
    assert_non_null(account);
    assert_non_null(key);
    assert_str_eq(account->name, STR("Sales"));
    assert_str_eq(key->account, account->id);
    assert_true(key->active);
    must(deployment_master_key(&w->deployment, &master, &why));
    buf_init(&secret, 1000);
    must(control_secret_open(&master, key, &secret));
    assert_str_eq(buf_str(&secret), member(made, "accessKeySecret"));
    assert_int_equal(trailctl_run("account list"), 0);
    assert_true(trailctl_said("Sales"));
    assert_int_equal(trailctl_run("key list --json"), 0);
    assert_false(trailctl_said(buf_cstr(&secret)));
}

static void an_account_that_is_known_is_not_made_twice(void **state)
{
    (void)state;
    assert_int_equal(trailctl_run("account create --id known-1"), 0);
    assert_int_equal(trailctl_run("account create --id known-1"), 1);
    assert_true(trailctl_said("trailctl key create known-1"));
    assert_int_equal(trailctl_run("account create --id 'no id'"), 2);
}

static void a_secret_is_changed_by_a_second_key(void **state)
{
    struct world *w = *state;
    AUTO(jsondoc_free) struct jsondoc *first = NULL, *second = NULL;
    AUTO(control_free) struct control *control = NULL;
    char words[128];

    assert_int_equal(trailctl_run("account create --json --id rotating"), 0);
    must(jsondoc_parse(str_trim(str_from(trailctl_output)), &first, &why));
    assert_int_equal(trailctl_run("key create rotating --json"), 0);
    must(jsondoc_parse(str_trim(str_from(trailctl_output)), &second, &why));
    (void)snprintf(words, sizeof(words), "key disable " STR_FMT,
                   STR_ARG(member(first, "accessKeyId")));
    assert_int_equal(trailctl_run(words), 0);
    control = view(w);
    assert_false(control_key(control, member(first, "accessKeyId"))->active);
    assert_true(control_key(control, member(second, "accessKeyId"))->active);
    assert_int_equal(trailctl_run("key create nobody"), 1);
    assert_int_equal(trailctl_run("key disable nobody"), 1);
}

/* One transaction a record, so that markers lie between them. */
static void reject(struct bus_producer *producer, int32_t partition, const char *reason,
                   struct str value)
{
    const struct bus_header headers[] = {{HEADER_REASON, str_from(reason)},
                                         {HEADER_WHY, STR("because of \033[2J")},
                                         {HEADER_ORIGIN, STR("raw.cn-hangzhou/g/1/2")},
                                         {HEADER_RECEIVED, STR("1795420800000")}};

    must(bus_begin(producer, &why));
    must(bus_producer_write(producer, "rejected.cn-hangzhou", partition, STR("123"), value, headers,
                            ARRAY_LEN(headers), NULL));
    must(bus_commit(producer, 30000, &why));
    (void)usleep(2000); /* so that no two have the same time */
}

static void reject_one(struct world *w, const char *topic, struct str value)
{
    AUTO(bus_producer_close) struct bus_producer *producer = NULL;
    const struct bus_header reason = {HEADER_REASON, STR("named")};

    must(bus_producer_open(&w->deployment.bus, "test", 0, &producer, &why));
    must(bus_transactions_init(producer, 30000, &why));
    must(bus_begin(producer, &why));
    must(bus_producer_write(producer, topic, 0, STR("123"), value, &reason, 1, NULL));
    must(bus_commit(producer, 30000, &why));
}

static void rejected_records_are_listed_newest_first(void **state)
{
    struct world *w = *state;
    AUTO(bus_producer_close) struct bus_producer *producer = NULL;
    AUTO(jsondoc_free) struct jsondoc *doc = NULL;
    struct str rest, line;
    char reason[32];
    int listed = 0;

    assert_int_equal(trailctl_run("rejected list"), 0);
    assert_true(trailctl_said("nothing was rejected"));
    must(bus_producer_open(&w->deployment.bus, "test", 0, &producer, &why));
    must(bus_transactions_init(producer, 30000, &why));
    for (int i = 0; i < 40; i++) {
        (void)snprintf(reason, sizeof(reason), "reason-%d", i);
        reject(producer, i % 3 ? 1 : 2, reason, STR("{\"n\":1}"));
    }
    reject(producer, 0, "newest", STR("\xc3\x01\xff\xffH-text-\x02\x03"));

    assert_int_equal(trailctl_run("rejected list --limit 3"), 0);
    assert_true(trailctl_said("2026-11-23T08:00:00Z  newest: because of ?[2J"));
    assert_true(trailctl_said("from raw.cn-hangzhou/g/1/2, 13 bytes: .H-text-."));
    assert_true(trailctl_said("reason-39"));
    assert_true(trailctl_said("reason-38"));
    assert_false(trailctl_said("reason-37"));

    assert_int_equal(trailctl_run("rejected list --limit 1000 --json"), 0);
    rest = str_from(trailctl_output);
    while (str_split(&rest, '\n', &line) && line.len) {
        (void)snprintf(reason, sizeof(reason), "reason-%d", 40 - listed);
        jsondoc_free(doc);
        must(jsondoc_parse(line, &doc, &why));
        assert_str_eq(jsondoc_str_or(doc, "reason", STR("")),
                      listed == 0 ? STR("newest") : str_from(reason));
        listed++;
    }
    assert_int_equal(listed, 41);
    assert_int_equal(trailctl_run("rejected list --region nowhere"), 1);
    assert_int_equal(trailctl_run("rejected list --region 'no region'"), 2);
    assert_int_equal(trailctl_run("rejected list --limit 0"), 2);
}

/* ---- published again ---------------------------------------------------------------------------- */

#define MADE 30

/* Text, JSON and bytes with zeros; of two accounts and two reasons. */
static struct str made_value(int number, char ret[64])
{
    int len = snprintf(ret, 64, "%s%c%d", number % 2 ? "{\"n\":" : "\xc3\x01\xff",
                       number % 3 ? ' ' : '\0', number);

    return str_of(ret, (size_t)len);
}

static struct str made_key(int number)
{
    return number % 5 ? STR("1001") : STR("1002");
}

/* As the normalizer leaves them: some with a content type, at a time of their own. */
static void make_rejected(struct world *w, const char *topic)
{
    AUTO(bus_producer_close) struct bus_producer *producer = NULL;
    char value[64], received[32];

    must(bus_producer_open(&w->deployment.bus, "test-2", 0, &producer, &why));
    must(bus_transactions_init(producer, 30000, &why));
    for (int i = 0; i < MADE; i++) {
        const struct bus_header headers[] = {
            {HEADER_REASON, i < 20 ? STR("malformed") : STR("conflict")},
            {HEADER_RECEIVED, str_from(received)},
            {HEADER_CONTENT_TYPE, STR(CONTENT_TYPE_JSON)}};

        (void)snprintf(received, sizeof(received), "%lld", 1795420800000LL + i * 1000);
        if (i % 10 == 0)
            must(bus_begin(producer, &why));
        must(bus_producer_write(producer, topic, i % 4, made_key(i), made_value(i, value), headers,
                                i % 2 ? 3 : 2, NULL));
        if (i % 10 == 9)
            must(bus_commit(producer, 30000, &why));
    }
}

struct came {
    int count[MADE]; /* how often each lies in raw */
    int total;
};

static int note_raw(void *arg, const struct bus_record *record)
{
    struct came *came = arg;
    char value[64];
    struct str type;

    came->total++;
    for (int i = 0; i < MADE; i++) {
        if (!str_eq(record->value, made_value(i, value)))
            continue;
        assert_str_eq(record->key, made_key(i));
        assert_int_equal(bus_record_header(record, HEADER_CONTENT_TYPE, &type), i % 2);
        if (i % 2)
            assert_str_eq(type, STR(CONTENT_TYPE_JSON));
        came->count[i]++;
        return 0;
    }
    fail_msg("a record in raw that nobody rejected");
    return 0;
}

static struct came read_raw(struct world *w, const char *topic)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    struct came came = {.total = 0};
    int32_t partitions;
    int64_t next;

    must(bus_admin_open(&w->deployment.bus, &admin, &why));
    must(bus_admin_partitions(admin, topic, &partitions, &why));
    for (int32_t p = 0; p < partitions; p++)
        must(bus_read_to_end(&w->deployment.bus, topic, p, 0, 30000, note_raw, &came, &next, &why));
    return came;
}

static void assert_came(struct world *w, int from, int to, int times)
{
    struct came came = read_raw(w, "raw.eu-retry-1");

    for (int i = from; i < to; i++)
        assert_int_equal(came.count[i], times);
}

static int lines(void)
{
    int count = 0;

    for (const char *at = trailctl_output; (at = strchr(at, '\n')); at++)
        count++;
    return count;
}

static void what_was_rejected_is_published_again_once(void **state)
{
    struct world *w = *state;

    assert_int_equal(apply(w, "\"cn-hangzhou\", \"eu-retry-1\"", 15), 0);
    make_rejected(w, "rejected.eu-retry-1");
    assert_int_equal(trailctl_run("rejected list --region eu-retry-1 --limit 100 --json"), 0);
    assert_int_equal(lines(), MADE);

    assert_int_equal(
        trailctl_run("rejected retry --region eu-retry-1 --reason malformed --dry-run"), 0);
    assert_true(trailctl_said("20 of 20 records would be published again to raw.eu-retry-1"));
    assert_int_equal(read_raw(w, "raw.eu-retry-1").total, 0);

    assert_int_equal(trailctl_run("rejected retry --region eu-retry-1 --reason malformed"), 0);
    assert_true(trailctl_said("20 of 20 records were published again to raw.eu-retry-1"));
    assert_came(w, 0, 20, 1);
    assert_came(w, 20, MADE, 0);

    assert_int_equal(trailctl_run("rejected list --region eu-retry-1 --limit 100 --json"), 0);
    assert_int_equal(lines(), MADE - 20);
    assert_false(trailctl_said("malformed"));
    assert_int_equal(trailctl_run("rejected list --region eu-retry-1 --limit 100 --retried --json"),
                     0);
    assert_int_equal(lines(), MADE);

    assert_int_equal(trailctl_run("rejected retry --region eu-retry-1 --all"), 0);
    assert_true(trailctl_said("10 of 10 records were"));
    assert_true(trailctl_said("20 more were before"));
    assert_came(w, 0, MADE, 1);
    assert_int_equal(trailctl_run("rejected retry --region eu-retry-1 --all"), 0);
    assert_true(trailctl_said("0 of 0 records were"));
    assert_came(w, 0, MADE, 1);
    assert_int_equal(trailctl_run("rejected retry --region eu-retry-1 --account 1002 --again"), 0);
    assert_true(trailctl_said("6 of 6 records were"));
    for (int i = 0; i < MADE; i++)
        assert_came(w, i, i + 1, i % 5 ? 1 : 2);
}

static void rejected_records_are_chosen_by_time_account_and_reason(void **state)
{
    (void)state;
    assert_int_equal(
        trailctl_run("rejected list --region eu-retry-1 --retried --json --account 1002"), 0);
    assert_int_equal(lines(), 6);
    assert_int_equal(trailctl_run("rejected list --region eu-retry-1 --retried --json "
                                  "--since 2026-11-23T08:00:03Z --until 2026-11-23T08:00:10Z"),
                     0);
    assert_int_equal(lines(), 7);
    assert_int_equal(
        trailctl_run("rejected list --region eu-retry-1 --retried --json --reason conflict "
                     "--since 2026-11-23T08:00:28Z --limit 1"),
        0);
    assert_int_equal(lines(), 1);
    assert_int_equal(trailctl_run("rejected list --since yesterday"), 2);
    assert_int_equal(trailctl_run("rejected retry"), 2);
    assert_int_equal(trailctl_run("rejected retry rejected.eu-retry-1-0-0 --all"), 2);
    assert_int_equal(trailctl_run("rejected retry --region 'no region' --all"), 2);
    assert_int_equal(trailctl_run("rejected retry --region nowhere --all"), 1);
}

static void a_rejected_record_is_shown_and_retried_by_its_name(void **state)
{
    struct world *w = *state;
    AUTO(jsondoc_free) struct jsondoc *listed = NULL, *shown = NULL;
    AUTO_BUF struct buf bytes = {0};
    char words[512], id[128];
    struct str text;

    reject_one(w, "rejected.eu-retry-1", STR("by\0name"));
    assert_int_equal(trailctl_run("rejected list --region eu-retry-1 --json"), 0);
    must(jsondoc_parse(str_trim(str_from(trailctl_output)), &listed, &why));
    text = member(listed, "id");
    (void)snprintf(id, sizeof(id), STR_FMT, STR_ARG(text));

    (void)snprintf(words, sizeof(words), "rejected show %s | od -An -c", id);
    assert_int_equal(trailctl_run(words), 0);
    assert_true(trailctl_said("b   y  \\0   n   a   m   e"));
    (void)snprintf(words, sizeof(words), "rejected show %s --json", id);
    assert_int_equal(trailctl_run(words), 0);
    must(jsondoc_parse(str_trim(str_from(trailctl_output)), &shown, &why));
    assert_str_eq(member(shown, "reason"), STR("named"));
    assert_str_eq(member(shown, "key"), STR("123"));
    buf_init(&bytes, 100);
    must(buf_add_base64_decoded(&bytes, member(shown, "bytesBase64")));
    assert_str_eq(buf_str(&bytes), STR("by\0name"));

    (void)snprintf(words, sizeof(words), "rejected retry %s rejected.eu-retry-1-0-99999", id);
    assert_int_equal(trailctl_run(words), 1);
    assert_true(trailctl_said("there is no record rejected.eu-retry-1-0-99999"));
    (void)snprintf(words, sizeof(words), "rejected retry %s %s", id, id);
    assert_int_equal(trailctl_run(words), 0);
    assert_true(trailctl_said("1 of 1 records were"));
    assert_int_equal(trailctl_run(words), 1);
    assert_true(trailctl_said("was published again before; --again does it once more"));
    (void)snprintf(words, sizeof(words), "rejected retry --again %s", id);
    assert_int_equal(trailctl_run(words), 0);

    assert_int_equal(trailctl_run("rejected show rejected.eu-retry-1-0-99999"), 1);
    assert_int_equal(trailctl_run("rejected show rejected.eu-retry-1-900-0"), 1);
    assert_int_equal(trailctl_run("rejected retry rejected.eu-retry-1-900-0"), 1);
    assert_int_equal(trailctl_run("rejected show raw.eu-retry-1-0-0"), 2);
    assert_int_equal(
        trailctl_run("rejected retry rejected.eu-retry-1-0-0 rejected.cn-hangzhou-0-0"), 2);
}

static void wrong_calls_end_with_2_and_failures_with_1(void **state)
{
    (void)state;
    assert_int_equal(trailctl_run(""), 2);
    assert_int_equal(trailctl_run("topics"), 2);
    assert_int_equal(trailctl_run("topics apply --nonsense"), 2);
    assert_int_equal(trailctl_run("topics apply word"), 2);
    assert_int_equal(trailctl_run("key disable"), 2);
    assert_int_equal(trailctl_run("topics apply --config /none"), 1);
    assert_int_equal(trailctl_run("--help"), 0);
    assert_int_equal(trailctl_run("--version"), 0);
    assert_int_equal(trailctl_run("topics apply --help"), 0);
    assert_int_equal(trailctl_run("topics --help"), 0);
    assert_int_equal(trailctl_run("--help topics apply"), 0);
    assert_int_equal(trailctl_run("--nonsense"), 2);
    assert_int_equal(trailctl_run("--config"), 2);
    assert_int_equal(trailctl_run("--check-config"), 0);
    assert_int_equal(trailctl_run("--check-config --config /none"), 2);
    assert_int_equal(trailctl_run("--config /none account list"), 1);
    assert_true(trailctl_said("/none"));
    assert_int_equal(trailctl_run("--profile=../x account list"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_topic_has_a_generation_of_its_own),
        TEST(applying_again_changes_nothing),
        TEST(a_topic_without_a_generation_gets_one),
        TEST(a_topic_made_anew_gets_a_new_generation),
        TEST(partitions_are_added_and_the_generation_stays),
        TEST(a_mark_that_was_left_is_taken_away),
        TEST(of_two_who_change_control_the_older_fails),
        TEST(an_account_has_a_key_whose_secret_is_sealed),
        TEST(an_account_that_is_known_is_not_made_twice),
        TEST(a_secret_is_changed_by_a_second_key),
        TEST(rejected_records_are_listed_newest_first),
        TEST(what_was_rejected_is_published_again_once),
        TEST(rejected_records_are_chosen_by_time_account_and_reason),
        TEST(a_rejected_record_is_shown_and_retried_by_its_name),
        TEST(wrong_calls_end_with_2_and_failures_with_1),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
