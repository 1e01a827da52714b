#include "balance/balance.h"

#include <stdio.h>

#include "test.h"

#define AFTER_MS 10000
#define LOOK_MS  1000
#define RAW      0
#define GLOBAL   1
#define EVENTS   2
#define SEEDS    300
#define STEPS    400

static const struct str regions[] = {{"cn-hangzhou", 11}};

struct fixture {
    struct balance *balance;
    int64_t now_ms;
    struct balance_counts raw, global, events; /* as shown */
    int64_t raw_end, global_end, events_end;
};

static struct fixture fixture(void)
{
    struct fixture f = {.balance = balance_new(regions, 1, AFTER_MS), .now_ms = 1000};

    assert_non_null(f.balance);
    return f;
}

static void look(struct fixture *f)
{
    f->now_ms += LOOK_MS;
    balance_part(f->balance, EVENTS, 0, f->now_ms, &f->events);
    balance_part(f->balance, GLOBAL, 0, f->now_ms, &f->global);
    balance_part(f->balance, RAW, 0, f->now_ms, &f->raw);
    balance_log(f->balance, EVENTS, 0, f->events_end);
    balance_log(f->balance, GLOBAL, 0, f->global_end);
    balance_log(f->balance, RAW, 0, f->raw_end);
    balance_judge(f->balance, f->now_ms);
}

static void look_for(struct fixture *f, int64_t ms)
{
    for (int64_t until = f->now_ms + ms; f->now_ms < until;)
        look(f);
}

/* `n` records come into raw, and all of them go on to the region's events, with a marker behind. */
static void pass(struct fixture *f, int64_t n)
{
    f->raw_end += n;
    f->raw.offset = f->raw_end;
    f->raw.outcomes += n;
    f->raw.to_region[0] += n;
    f->events_end += n + 1;
    f->events.offset = f->events_end;
    f->events.events += n;
    f->events.outcomes += n;
    f->events.gaps++;
}

static const char *finding(const struct fixture *f)
{
    static struct balance_finding found;

    return balance_finding(f->balance, 0, &found) ? found.why : NULL;
}

static const char *finding_id(const struct fixture *f)
{
    static struct balance_finding found;

    return balance_finding(f->balance, 0, &found) ? found.id : NULL;
}

/* ---- tables ----------------------------------------------------------------------------------------------- */

static void fields_of_a_tally_are_counted(void **state)
{
    static const struct {
        const char *name;
        int64_t n;
    } fields[] = {{"offset", 20},        {"base", 2},      {"gaps", 1},   {"to.global", 3},
                  {"to.cn-hangzhou", 7}, {"duplicate", 5}, {"events", 2}, {"to.cn-unknown", 0}};
    struct balance_counts c = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        balance_count(&c, regions, 1, str_from(fields[i].name), fields[i].n);
    assert_true(c.offset == 20 && c.base == 2 && c.gaps == 1 && c.outcomes == 17);
    assert_true(c.to_global == 3 && c.to_region[0] == 7 && c.events == 2);
}

static void what_was_received_is_accounted_for(void **state)
{
    struct fixture f = fixture();
    struct balance_row row;

    (void)state;
    pass(&f, 10);
    look_for(&f, 3 * AFTER_MS);
    assert_null(finding(&f));
    row = balance_row(f.balance, RAW);
    assert_true(row.received == 10 && row.accounted == 10 && row.waiting == 0 && row.unknown == 0);
    row = balance_row(f.balance, EVENTS);
    assert_true(row.received == 10 && row.accounted == 10 && row.missing == 0);
    balance_free(f.balance);
}

static void an_event_that_was_sent_and_never_met_is_missing(void **state)
{
    struct fixture f = fixture();

    (void)state;
    pass(&f, 10);
    look_for(&f, 3000);
    pass(&f, 5);
    f.events.events--;
    f.events.gaps++;
    look_for(&f, 5000);
    assert_null(finding(&f)); /* not yet: it may be on its way */
    look_for(&f, AFTER_MS);
    assert_string_equal(finding(&f),
                        "events.cn-hangzhou: 1 events were sent there that the history "
                        "has not met within 0/11-16");
    assert_int_equal(balance_row(f.balance, EVENTS).missing, 1);
    balance_free(f.balance);
}

static void it_is_found_in_the_first_quiet_moment_after_a_load(void **state)
{
    struct fixture f = fixture();

    (void)state;
    pass(&f, 10);
    look(&f);
    f.events.events--;
    for (int i = 0; i < 20; i++) {
        pass(&f, 3);
        look(&f);
    }
    look_for(&f, AFTER_MS + 2 * LOOK_MS);
    assert_string_equal(finding_id(&f), "missing events.cn-hangzhou");
    balance_free(f.balance);
}

static void an_event_that_nobody_sent_is_a_surplus(void **state)
{
    struct fixture f = fixture();

    (void)state;
    pass(&f, 10);
    f.events.events++;
    look_for(&f, 2 * AFTER_MS);
    assert_string_equal(finding_id(&f), "surplus events.cn-hangzhou");
    assert_int_equal(balance_row(f.balance, EVENTS).missing, -1);
    balance_free(f.balance);
}

static void offsets_between_two_counts_are_a_hole(void **state)
{
    struct fixture f = fixture();

    (void)state;
    pass(&f, 10);
    look(&f);
    f.raw_end = 20;
    f.raw = (struct balance_counts){.base = 12, .offset = 12};
    look(&f);
    assert_string_equal(finding(&f), "raw.cn-hangzhou/0: offsets 10 to 11 were passed over, the "
                                     "normalizer has not accounted for them");
    assert_int_equal(balance_row(f.balance, RAW).passed, 2);
    look_for(&f, 10 * AFTER_MS);
    assert_non_null(finding(&f));
    balance_accept(f.balance, STR("hole raw.cn-hangzhou/0 10"));
    assert_null(finding(&f));
    balance_free(f.balance);
}

static void counts_that_begin_anew_are_balanced_anew_once_all_is_quiet(void **state)
{
    struct fixture f = fixture();

    (void)state;
    pass(&f, 10);
    look(&f);
    f.raw = (struct balance_counts){.base = 12, .offset = 12};
    f.raw_end = 12;
    look_for(&f, 3 * AFTER_MS);
    balance_accept(f.balance, STR("hole raw.cn-hangzhou/0 10"));
    pass(&f, 4);
    look_for(&f, 3 * AFTER_MS);
    assert_null(finding(&f));
    f.events.events--;
    look_for(&f, 3 * AFTER_MS);
    assert_string_equal(finding_id(&f), "missing events.cn-hangzhou");
    balance_free(f.balance);
}

static void pass_for(struct fixture *f, int64_t n, int64_t ms)
{
    for (int64_t until = f->now_ms + ms; f->now_ms < until;) {
        pass(f, n);
        look(f);
    }
}

static void
what_is_lost_after_a_difference_was_accepted_under_load_is_found_under_load(void **state)
{
    struct fixture f = fixture();

    (void)state;
    pass(&f, 10);
    look(&f);
    f.events.events -= 7;
    pass_for(&f, 3, 2 * AFTER_MS);
    assert_int_equal(balance_row(f.balance, EVENTS).missing, 4); /* 3 are made up for by the load */
    balance_accept(f.balance, STR("missing events.cn-hangzhou"));
    assert_null(finding(&f));
    pass_for(&f, 3, 5 * AFTER_MS);
    assert_null(finding(&f));
    f.events.events -= 2;
    pass_for(&f, 3, 2 * AFTER_MS);
    assert_int_equal(balance_row(f.balance, EVENTS).missing, 2);
    look_for(&f, 2 * AFTER_MS);
    assert_int_equal(balance_row(f.balance, EVENTS).missing, 5); /* all that nobody has accepted */
    balance_free(f.balance);
}

/* Another one takes over what the last has left. */
static void next_process(struct fixture *f)
{
    struct fixture next = fixture();
    char line[BALANCE_MEMORY_SIZE];

    for (size_t i = 0; balance_memory(f->balance, i, line); i++)
        balance_recall(next.balance, str_from(line));
    balance_free(f->balance);
    f->balance = next.balance;
}

static void an_accepted_surplus_is_the_new_balance_for_the_next_process_too(void **state)
{
    struct fixture f = fixture();

    (void)state;
    pass(&f, 10);
    f.events.events += 2;
    look_for(&f, 2 * AFTER_MS);
    assert_int_equal(balance_row(f.balance, EVENTS).missing, -2);
    balance_accept(f.balance, STR("surplus events.cn-hangzhou"));
    balance_accept(f.balance, STR("surplus events.cn-hangzhou")); /* twice is once */
    next_process(&f);
    look_for(&f, 3 * AFTER_MS);
    assert_null(finding(&f));
    f.events.events--;
    look_for(&f, 3 * AFTER_MS);
    assert_string_equal(finding_id(&f), "missing events.cn-hangzhou");
    balance_free(f.balance);
}

static void a_record_that_became_nothing_is_a_miscount(void **state)
{
    struct fixture f = fixture();

    (void)state;
    pass(&f, 10);
    f.raw.outcomes--;
    look(&f);
    assert_string_equal(
        finding(&f), "raw.cn-hangzhou/0: of the offsets 0 to 9, 1 became nothing that was counted");
    balance_free(f.balance);
}

static void a_stage_that_stands_still_is_no_difference(void **state)
{
    struct fixture f = fixture();
    struct balance_counts stood;

    (void)state;
    pass(&f, 10);
    look(&f);
    stood = f.events;
    for (int i = 0; i < 60; i++) {
        pass(&f, 3);
        stood.events = f.events.events - 3 * (i + 1);
        struct balance_counts now = f.events;

        f.events = stood;
        look(&f);
        f.events = now;
        assert_null(finding(&f));
    }
    assert_true(balance_row(f.balance, EVENTS).waiting > 0);
    balance_free(f.balance);
}

static void older_counts_of_a_former_owner_are_passed_over(void **state)
{
    struct fixture f = fixture();
    struct balance_counts old;

    (void)state;
    pass(&f, 10);
    look(&f);
    old = f.raw;
    pass(&f, 5);
    look(&f);
    for (int i = 0; i < 5; i++) {
        struct balance_counts now = f.raw;

        f.raw = old;
        look(&f);
        f.raw = now;
        look(&f);
    }
    look_for(&f, 3 * AFTER_MS);
    assert_null(finding(&f));
    balance_free(f.balance);
}

static void findings_and_balances_outlive_the_process(void **state)
{
    struct fixture f = fixture();

    (void)state;
    pass(&f, 10);
    look(&f);
    f.raw = (struct balance_counts){.base = 12, .offset = 12};
    f.raw_end = 12;
    look_for(&f, 3 * AFTER_MS);
    next_process(&f);
    look_for(&f, 3 * AFTER_MS);
    assert_string_equal(finding_id(&f), "hole raw.cn-hangzhou/0 10");
    balance_accept(f.balance, STR("hole raw.cn-hangzhou/0 10"));
    assert_null(finding(&f));
    f.raw = (struct balance_counts){.base = 15, .offset = 15};
    look(&f);
    assert_string_equal(finding_id(&f), "hole raw.cn-hangzhou/0 12");
    balance_free(f.balance);
}

static void what_is_no_memory_is_passed_over(void **state)
{
    static const char *const bad[] = {"",
                                      "counts",
                                      "counts raw.cn-hangzhou 0 5",
                                      "counts raw.cn-hangzhou -1 5 9",
                                      "counts raw.cn-hangzhou 99999 5 9",
                                      "counts raw.cn-hangzhou 0 9 5",
                                      "hole raw.x 0 1 2",
                                      "hole raw.cn-hangzhou 0 2 2",
                                      "other raw.cn-hangzhou 0 1 2",
                                      "counts raw.cn-hangzhou 0 x 9"};
    struct fixture f = fixture();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        balance_recall(f.balance, str_from(bad[i]));
    pass(&f, 3);
    look_for(&f, 3 * AFTER_MS);
    assert_null(finding(&f));
    balance_free(f.balance);
}

/* ---- a small world ---------------------------------------------------------------------------------------- */

#define PARTS 2

struct stage {
    int64_t log[PARTS];                 /* records: offsets [0, log) */
    struct balance_counts done[PARTS];  /* committed */
    struct balance_counts shown[PARTS]; /* in Redis */
    bool known[PARTS];
    bool alive;
};

struct world {
    uint64_t random;
    struct stage raw, events, global;
    struct balance *balance;
    int64_t now_ms;
    bool lost;
};

static int64_t below(struct world *w, int64_t n)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (int64_t)(w->random % (uint64_t)n);
}

static void normalize(struct world *w)
{
    for (int p = 0; w->raw.alive && p < PARTS; p++) {
        struct balance_counts *c = &w->raw.done[p];
        int64_t n = below(w, w->raw.log[p] - c->offset + 1), dropped = below(w, n + 1);

        c->offset += n;
        c->outcomes += n;
        c->to_region[0] += n - dropped;
        w->events.log[p] += n - dropped + (n > 0); /* and a marker */
        if (n)
            w->events.done[p].gaps++; /* as will be found */
    }
}

/* `events.done[p].gaps` runs ahead here; what the history has taken is offset less markers, kept in `outcomes`. */
static void store(struct world *w)
{
    for (int p = 0; w->events.alive && p < PARTS; p++) {
        struct balance_counts *c = &w->events.done[p];

        if (below(w, 2))
            continue; /* later */
        c->offset = w->events.log[p];
        c->events = w->raw.done[p].to_region[0] - (w->lost && p == 0);
    }
}

static void show(struct world *w, struct stage *s)
{
    for (int p = 0; s->alive && p < PARTS; p++)
        if (below(w, 3)) {
            s->shown[p] = s->done[p];
            s->known[p] = true;
        }
}

static void tell(struct world *w, size_t topic, const struct stage *s)
{
    for (int p = 0; p < PARTS; p++)
        balance_part(w->balance, topic, p, w->now_ms, s->known[p] ? &s->shown[p] : NULL);
}

static void tell_ends(struct world *w, size_t topic, const struct stage *s)
{
    for (int p = 0; p < PARTS; p++)
        balance_log(w->balance, topic, p, s->log[p]);
}

static void work(struct world *w)
{
    normalize(w);
    store(w);
    show(w, &w->raw);
    show(w, &w->events);
    show(w, &w->global);
}

/* All goes on between one question and the next. */
static void look_around(struct world *w)
{
    tell(w, EVENTS, &w->events);
    work(w);
    tell(w, GLOBAL, &w->global);
    work(w);
    tell(w, RAW, &w->raw);
    work(w);
    tell_ends(w, RAW, &w->raw);
    work(w);
    tell_ends(w, GLOBAL, &w->global);
    work(w);
    tell_ends(w, EVENTS, &w->events);
    balance_judge(w->balance, w->now_ms);
}

/* Runs a world with kills and an emptied Redis; an event is lost half-way or not. Whether anything was found. */
static bool run(uint64_t seed, bool loses)
{
    struct world w = {.random = seed * 2654435761U + 1,
                      .balance = balance_new(regions, 1, AFTER_MS),
                      .now_ms = 1};
    struct balance_finding found;
    bool any = false;

    w.raw.alive = w.events.alive = w.global.alive = true;
    for (int step = 0; step < STEPS; step++) {
        bool calm = step > STEPS - 60;

        w.now_ms += 500 + below(&w, 1000);
        w.lost = loses && step > STEPS / 2;
        if (!calm)
            for (int p = 0; p < PARTS; p++)
                w.raw.log[p] += below(&w, 5);
        w.raw.alive = calm || (w.raw.alive ? below(&w, 20) > 0 : below(&w, 10) == 0);
        w.events.alive = calm || (w.events.alive ? below(&w, 20) > 0 : below(&w, 10) == 0);
        if (!calm && below(&w, 40) == 0)
            memset(w.raw.known, 0, sizeof(w.raw.known)),
                memset(w.events.known, 0, sizeof(w.events.known));
        work(&w);
        look_around(&w);
        any |= balance_finding(w.balance, 0, &found);
    }
    balance_free(w.balance);
    return any;
}

static void nothing_is_found_where_nothing_is_lost_whoever_is_killed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        if (run(seed, false))
            fail_msg("a false alarm with seed %d", (int)seed);
}

static void one_lost_event_is_found_whoever_is_killed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        if (!run(seed, true))
            fail_msg("not found with seed %d", (int)seed);
}

TESTS(TEST(fields_of_a_tally_are_counted), TEST(what_was_received_is_accounted_for),
      TEST(an_event_that_was_sent_and_never_met_is_missing),
      TEST(it_is_found_in_the_first_quiet_moment_after_a_load),
      TEST(an_event_that_nobody_sent_is_a_surplus), TEST(offsets_between_two_counts_are_a_hole),
      TEST(counts_that_begin_anew_are_balanced_anew_once_all_is_quiet),
      TEST(what_is_lost_after_a_difference_was_accepted_under_load_is_found_under_load),
      TEST(an_accepted_surplus_is_the_new_balance_for_the_next_process_too),
      TEST(a_record_that_became_nothing_is_a_miscount),
      TEST(a_stage_that_stands_still_is_no_difference),
      TEST(older_counts_of_a_former_owner_are_passed_over),
      TEST(findings_and_balances_outlive_the_process), TEST(what_is_no_memory_is_passed_over),
      TEST(nothing_is_found_where_nothing_is_lost_whoever_is_killed),
      TEST(one_lost_event_is_found_whoever_is_killed))
