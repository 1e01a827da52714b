/* test_uploads.c - who is told what became of a request. The store is this file: it answers when it is told to. */
#include <stdio.h>

#include "test.h"
#include "uploads.h"

#define STREAM  7
#define BUCKETS 5000

/* ---- the store ------------------------------------------------------------------------------------------ */

static objects_done_fn *pending;
static void *pending_arg;

static int keep(objects_done_fn *done, void *arg)
{
    assert_null(pending);
    pending = done;
    pending_arg = arg;
    return 0;
}

static void answer(enum objects_outcome outcome)
{
    struct objects_result result = {.outcome = outcome};
    objects_done_fn *done = pending;

    assert_non_null(done);
    pending = NULL;
    done(pending_arg, &result);
}

const struct objects_store *objects_find(const struct objects *objects, struct str bucket)
{
    static char store;

    (void)objects;
    (void)bucket;
    return (const struct objects_store *)&store;
}

int objects_put(struct http *http, const struct objects_store *store, int64_t now_s,
                struct str bucket, struct str key, struct str body,
                const struct object_meta_field *meta, size_t meta_count, objects_done_fn *done,
                void *arg)
{
    (void)http;
    (void)store;
    (void)now_s;
    (void)bucket;
    (void)meta;
    assert_true(key.len && body.len && meta_count);
    return keep(done, arg);
}

int objects_head(struct http *http, const struct objects_store *store, int64_t now_s,
                 struct str bucket, struct str key, const struct crypto_key *hmac_key,
                 objects_done_fn *done, void *arg)
{
    (void)http;
    (void)store;
    (void)now_s;
    (void)bucket;
    (void)hmac_key;
    assert_true(key.len);
    return keep(done, arg);
}

int objects_list(struct http *http, const struct objects_store *store, int64_t now_s,
                 struct str bucket, struct str prefix, struct str start_after, struct str token,
                 objects_done_fn *done, void *arg)
{
    (void)http;
    (void)store;
    (void)now_s;
    (void)bucket;
    (void)start_after;
    (void)token;
    assert_true(prefix.len);
    return keep(done, arg);
}

int objects_probe_begin(struct http *http, const struct objects_store *store, int64_t now_s,
                        struct str bucket, struct str prefix, objects_probed_fn *done, void *arg)
{
    (void)http;
    (void)store;
    (void)now_s;
    (void)bucket;
    (void)prefix;
    done(arg, &(struct objects_probe){.outcome = OBJECTS_OK, .step = OBJECTS_STEP_DONE});
    return 0;
}

/* ---- two cores: what each is told ----------------------------------------------------------------------- */

struct delivery {
    int puts, heads, lists, probes;
    enum delivery_outcome outcome;
};

void delivery_put_done(struct delivery *d, uint64_t stream, enum delivery_outcome outcome,
                       const char *why)
{
    (void)why;
    assert_int_equal(stream, STREAM);
    d->puts++;
    d->outcome = outcome;
}

void delivery_head_done(struct delivery *d, uint64_t stream, enum delivery_outcome outcome,
                        const struct delivery_meta *meta, const char *why)
{
    (void)meta;
    (void)why;
    assert_int_equal(stream, STREAM);
    d->heads++;
    d->outcome = outcome;
}

void delivery_listed(struct delivery *d, uint64_t stream, enum delivery_outcome outcome, bool any,
                     int64_t first, int64_t first_time_ms, const char *why)
{
    (void)any;
    (void)first;
    (void)first_time_ms;
    (void)why;
    assert_int_equal(stream, STREAM);
    d->lists++;
    d->outcome = outcome;
}

void delivery_probed(struct delivery *d, uint64_t stream, enum delivery_outcome outcome,
                     const char *why)
{
    (void)why;
    assert_int_equal(stream, STREAM);
    d->probes++;
    d->outcome = outcome;
}

static void delivered(void *arg, struct str trail, const char *error)
{
    (void)trail;
    (void)error;
    ++*(int *)arg;
}

/* ---- fixture -------------------------------------------------------------------------------------------- */

static struct delivery first, second;
static struct uploads *uploads;
static int told;

static int setup(void **state)
{
    static const struct crypto_key key;
    struct uploads_owner owner = {&told, delivered};

    (void)state;
    first = second = (struct delivery){0};
    pending = NULL;
    told = 0;
    uploads = uploads_new(NULL, NULL, &key, STR("cn-hangzhou"), &owner);
    assert_non_null(uploads);
    uploads_attach(uploads, &first);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    uploads_free(uploads);
    return 0;
}

static void begin_at(enum delivery_effect_kind kind, struct str bucket)
{
    struct delivery_effect effect = {.kind = kind,
                                     .stream = STREAM,
                                     .trail = STR("t"),
                                     .account = STR("1"),
                                     .bucket = bucket,
                                     .prefix = STR("p"),
                                     .chain = STR("0123456789abcdef"),
                                     .created_s = 1700000000,
                                     .first_time_ms = 1700000000000,
                                     .meta = {.next = 1}};

    uploads_begin(uploads, &effect, 1700000000);
}

static void begin(enum delivery_effect_kind kind)
{
    begin_at(kind, STR("audit"));
}

/* The bucket is probed with the first PUT, which comes back at once. */
static void begin_put(void)
{
    begin(DELIVERY_PUT);
    assert_int_equal(first.outcome, DELIVERY_UNCLEAR);
    first = (struct delivery){0};
    begin(DELIVERY_PUT);
}

/* ---- tests ---------------------------------------------------------------------------------------------- */

static void who_asked_is_told(void **state)
{
    (void)state;
    begin_put();
    answer(OBJECTS_OK);
    assert_int_equal(first.puts, 1);
    assert_int_equal(first.outcome, DELIVERY_OK);
    assert_int_equal(told, 1);
    begin(DELIVERY_HEAD);
    answer(OBJECTS_OK);
    assert_int_equal(first.heads, 1);
    begin(DELIVERY_LIST);
    answer(OBJECTS_OK);
    assert_int_equal(first.lists, 1);
    begin(DELIVERY_PROBE);
    answer(OBJECTS_OK);
    assert_int_equal(first.probes, 1);
}

/* It counts its streams from one again: a "created" would settle a PUT that has not arrived. */
static void the_next_core_is_not_told_what_became_of_the_last_ones_requests(void **state)
{
    static const enum delivery_effect_kind kinds[] = {DELIVERY_PUT, DELIVERY_HEAD, DELIVERY_LIST,
                                                      DELIVERY_PROBE};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        uploads_attach(uploads, &first);
        if (kinds[i] == DELIVERY_PUT)
            begin_put();
        else
            begin(kinds[i]);
        uploads_attach(uploads, NULL);
        uploads_attach(uploads, &second);
        answer(OBJECTS_OK);
    }
    assert_int_equal(first.puts + first.heads + first.lists + first.probes, 0);
    assert_int_equal(second.puts + second.heads + second.lists + second.probes, 0);
    assert_int_equal(told, 0);
}

static void nobody_is_told_while_there_is_no_core(void **state)
{
    (void)state;
    begin_put();
    uploads_attach(uploads, NULL);
    answer(OBJECTS_OK);
    assert_int_equal(first.puts, 0);
    assert_int_equal(told, 0);
}

/* More than are remembered at once. */
static void every_bucket_gets_its_objects_however_many_there_are(void **state)
{
    char bucket[16];

    (void)state;
    for (int i = 0; i < BUCKETS; i++) {
        (void)snprintf(bucket, sizeof(bucket), "bucket-%d", i);
        begin_at(DELIVERY_PUT, str_from(bucket));
        assert_int_equal(first.outcome, DELIVERY_UNCLEAR); /* while it is probed */
        begin_at(DELIVERY_PUT, str_from(bucket));
        answer(OBJECTS_OK);
        assert_int_equal(first.outcome, DELIVERY_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_asked_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(
            the_next_core_is_not_told_what_became_of_the_last_ones_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_is_told_while_there_is_no_core, setup, teardown),
        cmocka_unit_test_setup_teardown(every_bucket_gets_its_objects_however_many_there_are, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
