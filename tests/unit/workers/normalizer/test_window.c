/* The window of duplicates: what it takes for new, the same, and a contradiction. */
#include "core/window.h"

#include <stdio.h>

#include "test.h"

#define SPAN_MS 600000

static const struct fingerprint_key key = {1, 2};

static enum window_verdict learn(struct window *w, const char *account, const char *id,
                                 const char *content, int64_t time_ms)
{
    enum window_verdict verdict;

    assert_int_equal(window_learn(w, str_from(account), str_from(id),
                                  window_content(w, str_from(content), true), time_ms, &verdict),
                     0);
    return verdict;
}

static void the_same_id_with_the_same_bytes_passes_once(void **state)
{
    AUTO(window_free) struct window *w = window_new(100, SPAN_MS, &key);

    (void)state;
    assert_int_equal(learn(w, "1", "a", "x", 0), WINDOW_NEW);
    assert_int_equal(learn(w, "1", "a", "x", 1), WINDOW_DUPLICATE);
    assert_int_equal(learn(w, "1", "a", "x", SPAN_MS), WINDOW_DUPLICATE);
    assert_int_equal(window_count(w), 1);
}

static void the_same_id_with_other_bytes_is_a_conflict_and_not_learned(void **state)
{
    AUTO(window_free) struct window *w = window_new(100, SPAN_MS, &key);

    (void)state;
    assert_int_equal(learn(w, "1", "a", "x", 0), WINDOW_NEW);
    assert_int_equal(learn(w, "1", "a", "y", 1), WINDOW_CONFLICT);
    assert_int_equal(learn(w, "1", "a", "y", 2), WINDOW_CONFLICT);
    assert_int_equal(learn(w, "1", "a", "x", 3), WINDOW_DUPLICATE);
}

static int learn_again(struct window *w, const char *id, const char *content, int64_t first_ms,
                       int64_t time_ms)
{
    return window_learn_again(w, STR("1"), str_from(id), window_content(w, str_from(content), true),
                              first_ms, time_ms);
}

/* As who takes a partition over learns it: rejected at 10, again at 20, passed at 30. */
static void a_record_that_was_rejected_passes_once_when_it_comes_again(void **state)
{
    AUTO(window_free) struct window *w = window_new(100, SPAN_MS, &key);

    (void)state;
    assert_int_equal(learn(w, "1", "a", "x", 10), WINDOW_NEW);
    assert_int_equal(learn(w, "1", "a", "x", 20), WINDOW_DUPLICATE);
    assert_int_equal(learn_again(w, "a", "x", 11, 20), 0);
    assert_int_equal(learn_again(w, "a", "y", 10, 20), 0);
    assert_int_equal(learn_again(w, "b", "x", 10, 20), 0);
    assert_int_equal(learn_again(w, "a", "x", 10, 20), 1);
    assert_int_equal(learn_again(w, "a", "x", 10, 25), 0);
    assert_int_equal(learn_again(w, "a", "x", 20, 30), 1);
    assert_int_equal(learn_again(w, "a", "x", 10, 40), 0);
    assert_int_equal(learn(w, "1", "a", "x", 30 + SPAN_MS), WINDOW_DUPLICATE);
    assert_int_equal(learn(w, "1", "a", "y", 30 + SPAN_MS), WINDOW_CONFLICT);
    window_keep(w);
    assert_int_equal(learn(w, "1", "a", "x", 31 + SPAN_MS), WINDOW_NEW);
}

static void what_was_learned_again_is_forgotten_with_its_transaction(void **state)
{
    AUTO(window_free) struct window *w = window_new(100, SPAN_MS, &key);

    (void)state;
    assert_int_equal(learn(w, "1", "a", "x", 10), WINDOW_NEW);
    window_keep(w);
    assert_int_equal(learn_again(w, "a", "x", 10, 20), 1);
    window_forget(w);
    assert_int_equal(learn(w, "1", "a", "x", 20), WINDOW_DUPLICATE);
    assert_int_equal(learn_again(w, "a", "x", 10, 20), 1);
}

static void the_same_bytes_under_another_content_type_are_other_content(void **state)
{
    AUTO(window_free) struct window *w = window_new(100, SPAN_MS, &key);
    enum window_verdict verdict;

    (void)state;
    assert_int_equal(learn(w, "1", "a", "x", 0), WINDOW_NEW);
    assert_int_equal(
        window_learn(w, STR("1"), STR("a"), window_content(w, STR("x"), false), 0, &verdict), 0);
    assert_int_equal(verdict, WINDOW_CONFLICT);
}

static void ids_are_an_account_s_own(void **state)
{
    AUTO(window_free) struct window *w = window_new(100, SPAN_MS, &key);

    (void)state;
    assert_int_equal(learn(w, "1", "a", "x", 0), WINDOW_NEW);
    assert_int_equal(learn(w, "2", "a", "y", 0), WINDOW_NEW);
    assert_int_equal(learn(w, "1a", "", "z", 0), WINDOW_NEW);
    assert_int_equal(learn(w, "", "1a", "z", 0), WINDOW_NEW);
    assert_int_equal(window_count(w), 4);
}

static void what_is_older_than_the_span_is_new_again(void **state)
{
    AUTO(window_free) struct window *w = window_new(100, SPAN_MS, &key);

    (void)state;
    assert_int_equal(learn(w, "1", "a", "x", 0), WINDOW_NEW);
    assert_int_equal(learn(w, "1", "a", "y", SPAN_MS + 1), WINDOW_NEW);
    assert_int_equal(learn(w, "1", "a", "y", SPAN_MS + 2), WINDOW_DUPLICATE);
    window_keep(w);
    assert_int_equal(window_count(w), 1);
    assert_int_equal(learn(w, "1", "a", "y", SPAN_MS + 3), WINDOW_DUPLICATE);
}

static void what_was_learned_since_the_last_commit_can_be_forgotten(void **state)
{
    AUTO(window_free) struct window *w = window_new(100, SPAN_MS, &key);

    (void)state;
    assert_int_equal(learn(w, "1", "kept", "x", 0), WINDOW_NEW);
    window_keep(w);
    assert_int_equal(learn(w, "1", "aborted", "x", 1), WINDOW_NEW);
    assert_int_equal(learn(w, "1", "kept", "x", 1), WINDOW_DUPLICATE);
    window_forget(w);
    assert_int_equal(window_count(w), 1);
    assert_int_equal(learn(w, "1", "kept", "x", 2), WINDOW_DUPLICATE);
    assert_int_equal(learn(w, "1", "aborted", "x", 2), WINDOW_NEW);
}

static void the_oldest_leave_first_and_only_at_a_commit(void **state)
{
    AUTO(window_free) struct window *w = window_new(3, SPAN_MS, &key);

    (void)state;
    for (int i = 0; i < 5; i++) {
        char id[2] = {(char)('a' + i), 0};

        assert_int_equal(learn(w, "1", id, "x", i), WINDOW_NEW);
    }
    assert_int_equal(window_count(w), 5);
    assert_int_equal(learn(w, "1", "a", "x", 5), WINDOW_DUPLICATE);
    window_keep(w);
    assert_int_equal(window_count(w), 3);
    assert_int_equal(learn(w, "1", "c", "x", 6), WINDOW_DUPLICATE);
    assert_int_equal(learn(w, "1", "a", "x", 6), WINDOW_NEW);
}

/* Against a plain list that says the same. */
struct known {
    char id[8];
    int content;
    int64_t time_ms;
};

struct model {
    struct known at[4000];
    size_t count, kept;
};

static enum window_verdict model_learn(struct model *m, const char *id, int content,
                                       int64_t time_ms)
{
    for (size_t i = m->count; i > 0; i--) {
        const struct known *k = &m->at[i - 1];

        if (strcmp(k->id, id) == 0 && time_ms - k->time_ms <= 500)
            return k->content == content ? WINDOW_DUPLICATE : WINDOW_CONFLICT;
    }
    (void)snprintf(m->at[m->count].id, sizeof(m->at[0].id), "%s", id);
    m->at[m->count].content = content;
    m->at[m->count++].time_ms = time_ms;
    return WINDOW_NEW;
}

static void model_keep(struct model *m, size_t events_max)
{
    int64_t newest = m->count ? m->at[m->count - 1].time_ms : 0;
    size_t gone = 0;

    while (m->count - gone > events_max || (gone < m->count && newest - m->at[gone].time_ms > 500))
        gone++;
    memmove(m->at, m->at + gone, (m->count - gone) * sizeof(m->at[0]));
    m->count -= gone;
    m->kept = m->count;
}

static void any_sequence_is_judged_as_a_plain_list_would(void **state)
{
    static struct model model;
    struct draws draws = draws_begin();
    AUTO(window_free) struct window *w = window_new(1500, 500, &key);
    int64_t now_ms = 0;

    (void)state;
    for (int step = 0; step < 60000; step++) {
        uint64_t kind = draws_next(&draws, 1000);
        char id[8], content[8];
        int number = (int)draws_next(&draws, 2);

        if (kind == 0) {
            window_keep(w);
            model_keep(&model, 1500);
        } else if (kind == 1) {
            window_forget(w);
            model.count = model.kept;
        } else {
            now_ms += draws_next(&draws, 4) == 0;
            (void)snprintf(id, sizeof(id), "%d", (int)draws_next(&draws, 3000));
            (void)snprintf(content, sizeof(content), "%d", number);
            if (model.count == ARRAY_LEN(model.at)) {
                window_keep(w);
                model_keep(&model, 1500);
            }
            assert_int_equal(learn(w, "1", id, content, now_ms),
                             model_learn(&model, id, number, now_ms));
        }
        assert_int_equal(window_count(w), model.count);
    }
}

TESTS(TEST(the_same_id_with_the_same_bytes_passes_once),
      TEST(the_same_id_with_other_bytes_is_a_conflict_and_not_learned),
      TEST(a_record_that_was_rejected_passes_once_when_it_comes_again),
      TEST(what_was_learned_again_is_forgotten_with_its_transaction),
      TEST(the_same_bytes_under_another_content_type_are_other_content),
      TEST(ids_are_an_account_s_own), TEST(what_is_older_than_the_span_is_new_again),
      TEST(what_was_learned_since_the_last_commit_can_be_forgotten),
      TEST(the_oldest_leave_first_and_only_at_a_commit),
      TEST(any_sequence_is_judged_as_a_plain_list_would))
