/* test_model.c - the store beside a naive model of it: random events, queries, directions, page sizes,
 * and events that arrive while a walk is under way. TRAILBUS_TEST_SEED repeats a run.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "history/history.h"

#include "folder.h"

#define DAY          (24 * 3600 * 1000LL)
#define FIRST_DAY    20000 /* 2024-10-04 */
#define EVENTS_MAX   4000
#define PARTITIONS   3
#define REGION       STR("cn-hangzhou")
#define OTHER_REGION STR("cn-beijing")

/* ---- random values of small pools, so that everything meets everything ---------------------------- */

static struct draws draws;

static uint64_t draw(uint64_t below)
{
    return draws_next(&draws, below);
}

static struct str pick(const char *const *pool, size_t count)
{
    return str_from(pool[draw(count)]);
}

static const char *const accounts[] = {"1001", "1002", "100"};
static const char *const services[] = {"Ecs", "ecs", "Oss", "Ram"};
static const char *const values[] = {"a", "b", "c", "A", ""};
static const char *const types[] = {"ApiCall", "ConsoleOperation"};

#define PICK(pool) pick(pool, ARRAY_LEN(pool))

struct known {
    struct event event;
    bool beside; /* stored in the other region */
    char id[24], document[64];
    size_t given; /* in the walk under way */
    bool there;   /* when the walk began */
};

static struct known *known;
static size_t known_count;

static int64_t draw_time(void)
{
    int64_t day = FIRST_DAY + (int64_t)draw(4);
    return day * DAY + (int64_t)(draw(4) ? draw(20) * 1000 : draw(2) ? 0 : DAY - 1);
}

static void make_event(struct known *k)
{
    struct event *e = &k->event;

    snprintf(k->id, sizeof k->id, "id-%zu", known_count);
    snprintf(k->document, sizeof k->document, "{\"n\":%zu}", known_count);
    *e = (struct event){.id = str_from(k->id), .document = str_from(k->document)};
    e->account = PICK(accounts);
    e->rw = draw(2) ? EVENT_READ : EVENT_WRITE;
    e->sensitive = draw(3) == 0;
    e->purpose = EVENT_FOR_HISTORY;
    e->time_ms = draw_time();
    e->service = PICK(services);
    e->name = PICK(values);
    e->type = PICK(types);
    e->user = PICK(values);
    e->principal = PICK(values);
    e->role = PICK(values);
    e->access_key = PICK(values);
    e->source_ip = PICK(values);
    e->resource_count = draw(4);
    for (size_t i = 0; i < e->resource_count; i++)
        e->resources[i] = (struct event_resource){PICK(values), PICK(values)};
    k->beside = draw(5) == 0;
    e->global = k->beside ? draw(2) : draw(5) == 0;
}

/* ---- the model ------------------------------------------------------------------------------------ */

static bool value_is(struct str got, struct str wanted)
{
    return got.len > 0 && str_eq(got, wanted);
}

static bool resource_is(const struct event *e, const struct history_filter *type,
                        const struct history_filter *name)
{
    for (size_t i = 0; i < e->resource_count; i++)
        if ((!type || value_is(e->resources[i].type, type->value)) &&
            (!name || value_is(e->resources[i].name, name->value)))
            return true;
    return false;
}

static bool model_has(const struct event *e, const struct history_filter *f)
{
    switch (f->attribute) {
    case HISTORY_SERVICE_NAME:
        return str_eq_nocase(e->service, f->value);
    case HISTORY_EVENT_NAME:
        return value_is(e->name, f->value);
    case HISTORY_USER:
        return value_is(e->user, f->value);
    case HISTORY_EVENT_ID:
        return value_is(e->id, f->value);
    case HISTORY_RESOURCE_TYPE:
        return resource_is(e, f, NULL);
    case HISTORY_RESOURCE_NAME:
        return resource_is(e, NULL, f);
    case HISTORY_EVENT_RW:
        return str_eq(f->value, e->rw == EVENT_READ ? STR("Read") : STR("Write"));
    case HISTORY_ACCESS_KEY_ID:
        return value_is(e->access_key, f->value);
    case HISTORY_SENSITIVE_ACTION:
        return e->sensitive && str_eq(f->value, STR("true"));
    case HISTORY_SOURCE_IP_ADDRESS:
        return value_is(e->source_ip, f->value);
    case HISTORY_EVENT_TYPE:
        return value_is(e->type, f->value);
    case HISTORY_ROLE_NAME:
        return value_is(e->role, f->value);
    case HISTORY_PRINCIPAL_ID:
        return value_is(e->principal, f->value);
    case HISTORY_ATTRIBUTE_COUNT:
        break;
    }
    return false;
}

static bool model_matches(const struct known *k, const struct history_query *q)
{
    const struct event *e = &k->event;
    const struct history_filter *type = NULL, *name = NULL;

    if (!str_eq(e->account, q->account) || e->time_ms < q->start_ms || e->time_ms >= q->end_ms)
        return false;
    if (k->beside ? !e->global || q->global_region.len == 0 : q->global_only && !e->global)
        return false;
    for (size_t i = 0; i < q->filter_count; i++) {
        if (!model_has(e, &q->filters[i]))
            return false;
        if (q->filters[i].attribute == HISTORY_RESOURCE_TYPE)
            type = &q->filters[i];
        if (q->filters[i].attribute == HISTORY_RESOURCE_NAME)
            name = &q->filters[i];
    }
    return !type || !name || resource_is(e, type, name);
}

/* ---- the store ------------------------------------------------------------------------------------ */

struct stores {
    char directory[FOLDER_SIZE];
    struct history_writer *own[PARTITIONS], *beside;
    struct history_reader *reader;
    struct arena *arena;
    int64_t offset;
};

static void open_writer(struct stores *s, struct str region, int32_t partition,
                        struct history_writer **ret)
{
    struct why why;
    assert_ok(history_writer_open(s->directory, region, partition, ret, &why), why);
    assert_ok(history_writer_begin(*ret, STR("g1"), 0, &why), why);
}

static int setup(void **state)
{
    static struct stores s;
    struct why why;

    s = (struct stores){0};
    draws = draws_begin();
    folder_make(TEMPORARY("/tmp/history"), s.directory);
    known = calloc(EVENTS_MAX, sizeof *known);
    known_count = 0;
    for (int32_t p = 0; p < PARTITIONS; p++)
        open_writer(&s, REGION, p, &s.own[p]);
    open_writer(&s, OTHER_REGION, 0, &s.beside);
    assert_ok(history_reader_open(s.directory, &s.reader, &why), why);
    s.arena = arena_new(1 << 20);
    assert_non_null(s.arena);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    struct stores *s = *state;
    for (int p = 0; p < PARTITIONS; p++)
        history_writer_close(s->own[p]);
    history_writer_close(s->beside);
    history_reader_close(s->reader);
    arena_free(s->arena);
    free(known);
    return folder_remove(s->directory);
}

static void add(struct stores *s, struct history_writer *writer, const struct event *event,
                int wanted)
{
    struct why why;
    int r = history_writer_add(writer, event, s->offset++, &why);
    assert_ok(r, why);
    if (wanted >= 0)
        assert_int_equal(r, wanted);
}

/* An account lies in one partition, now and then in another (partitions were added); now and then an
 * event comes twice, to the same partition or to another one. */
static void arrive(struct stores *s, size_t count)
{
    struct why why;
    while (count-- > 0 && known_count < EVENTS_MAX) {
        struct known *k = &known[known_count];
        make_event(k);
        known_count++;
        uint64_t p = draw(4) ? k->event.account.len % PARTITIONS : draw(PARTITIONS);
        add(s, k->beside ? s->beside : s->own[p], &k->event, 1);
        if (draw(10) == 0)
            add(s, k->beside ? s->beside : s->own[p], &k->event, 0);
        if (!k->beside && draw(10) == 0)
            add(s, s->own[draw(PARTITIONS)], &k->event, -1);
    }
    for (int p = 0; p < PARTITIONS; p++)
        assert_ok(history_writer_commit(s->own[p], s->offset, &why), why);
    assert_ok(history_writer_commit(s->beside, s->offset, &why), why);
}

/* ---- walks ---------------------------------------------------------------------------------------- */

static struct str draw_value(enum history_attribute attribute)
{
    if (attribute == HISTORY_SERVICE_NAME)
        return draw(4) ? PICK(services) : STR("OSS");
    if (attribute == HISTORY_EVENT_TYPE)
        return PICK(types);
    if (attribute == HISTORY_EVENT_RW)
        return draw(2) ? STR("Read") : STR("Write");
    if (attribute == HISTORY_SENSITIVE_ACTION)
        return STR("true");
    if (attribute == HISTORY_EVENT_ID)
        return known_count ? known[draw(known_count)].event.id : STR("id-0");
    return PICK(values);
}

static struct history_query draw_query(void)
{
    struct history_query q = {.region = REGION, .account = PICK(accounts)};
    int64_t a = draw_time(), b = draw_time();

    q.start_ms = draw(2) ? 0 : MIN_OF(a, b);
    q.end_ms = draw(2) ? INT64_MAX : MAX_OF(a, b) + 1;
    q.direction = draw(2) ? HISTORY_FORWARD : HISTORY_BACKWARD;
    q.global_only = draw(6) == 0;
    if (draw(2))
        q.global_region = OTHER_REGION;
    q.limit = 1 + draw(draw(2) ? 7 : 120);
    q.filter_count = draw(3);
    do {
        for (size_t i = 0; i < q.filter_count; i++) {
            q.filters[i].attribute = (enum history_attribute)draw(HISTORY_ATTRIBUTE_COUNT);
            q.filters[i].value = draw_value(q.filters[i].attribute);
        }
    } while (q.filter_count == 2 &&
             !history_pair_valid(q.filters[0].attribute, q.filters[1].attribute));
    return q;
}

static struct known *known_of(struct str document)
{
    size_t n;
    char text[64];
    assert_true(document.len < sizeof text);
    memcpy(text, document.at, document.len);
    text[document.len] = '\0';
    assert_int_equal(sscanf(text, "{\"n\":%zu}", &n), 1);
    assert_true(n < known_count);
    assert_str_eq(document, known[n].event.document);
    return &known[n];
}

static void check_page(const struct history_query *q, const struct history_page *page,
                       int64_t *last_ms)
{
    assert_true(page->count <= q->limit);
    assert_true(!page->more || page->count == q->limit);
    for (size_t i = 0; i < page->count; i++) {
        struct known *k = known_of(page->documents[i]);
        assert_true(model_matches(k, q));
        assert_true(q->direction == HISTORY_FORWARD ? k->event.time_ms >= *last_ms
                                                    : k->event.time_ms <= *last_ms);
        *last_ms = k->event.time_ms;
        k->given++;
    }
}

/* Walks to the end; with `arriving`, events come between the pages. */
static void walk(struct stores *s, bool arriving)
{
    struct history_query q = draw_query();
    struct history_page page = {.more = true};
    struct history_cursor cursor;
    struct why why;
    int64_t last_ms = q.direction == HISTORY_FORWARD ? INT64_MIN : INT64_MAX;

    for (size_t i = 0; i < known_count; i++) {
        known[i].given = 0;
        known[i].there = true;
    }
    while (page.more) {
        arena_reset(s->arena);
        assert_ok(history_reader_query(s->reader, &q, s->arena, &page, &why), why);
        check_page(&q, &page, &last_ms);
        cursor = page.next;
        q.after = &cursor;
        if (arriving && draw(3) == 0)
            arrive(s, draw(12));
    }
    for (size_t i = 0; i < known_count; i++) {
        if (known[i].given > 1)
            fail_msg("event %zu was given %zu times", i, known[i].given);
        if (known[i].there && model_matches(&known[i], &q) && known[i].given == 0)
            fail_msg("event %zu was skipped", i);
    }
}

static void every_query_gives_what_the_model_gives(void **state)
{
    struct stores *s = *state;
    for (int round = 0; round < 20; round++) {
        arrive(s, 60);
        for (int i = 0; i < 100; i++)
            walk(s, false);
    }
}

static void a_walk_skips_and_doubles_nothing_while_events_arrive(void **state)
{
    struct stores *s = *state;
    arrive(s, 300);
    while (known_count < EVENTS_MAX)
        walk(s, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_query_gives_what_the_model_gives, setup, teardown),
        cmocka_unit_test_setup_teardown(a_walk_skips_and_doubles_nothing_while_events_arrive, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
