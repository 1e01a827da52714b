/* test_dialects.c - what delivery relies on, of each dialect with a store behind it: create-only writing, metadata that comes
 * back, whole listings, and a probe that finds out what is wrong.
 *
 * services: objects oss
 * links: gzip
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gzip/gzip.h"
#include "objects/objects.h"
#include "sign/sign.h"

#include "folder.h"

#define BUCKET STR("audit")

enum { S3, OSS, FILES, DIALECTS };

struct world {
    char folder[FOLDER_SIZE]; /* credentials, and the buckets of files */
    struct destination_section rows[DIALECTS];
    char credentials[2][96];
    struct objects *objects[DIALECTS];
    const struct objects_store *stores[DIALECTS];
    struct http *http;
    struct crypto_key key;
    int serial; /* a prefix of its own for each test */
};

static struct why why;

static int64_t now_s(void)
{
    return (int64_t)time(NULL);
}

/* ---- the world --------------------------------------------------------------------------------------- */

static void write_credentials(const char *path, const char *id, const char *secret)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    fprintf(file, "access_key_id=%s\nsecret_access_key=%s\n", id, secret);
    assert_int_equal(fclose(file), 0);
}

static struct objects *open_row(const struct destination_section *row)
{
    struct destination_section copy = *row;
    struct config_groups groups = {&copy, 1};
    struct objects *objects = NULL;

    assert_ok(objects_open(&groups, &objects, &why), why);
    return objects;
}

/* PUT of the bucket itself (or of its versioning), which no code of ours does. */
static void put_bucket(const struct world *w, int dialect, const char *bucket, const char *query,
                       const char *body)
{
    bool oss = dialect == OSS;
    const char *base = getenv(oss ? "TRAILBUS_OSS" : "TRAILBUS_S3"), *host = strstr(base, "//") + 2;
    struct sign_v4 keys = {
        oss ? STR("writer") : STR("local"),
        oss ? STR("writer-secret") : str_from(getenv("TRAILBUS_S3_SECRET_ACCESS_KEY")),
        oss ? STR("cn-hangzhou") : STR("us-east-1"), now_s(), oss ? SIGN_V4_OSS : SIGN_V4_S3};
    char date[SIGN_V4_DATE_SIZE], url[256], path[128], lines[3][256];
    struct sign_pair headers[3] = {{oss ? STR("x-oss-date") : STR("x-amz-date"), STR_NONE},
                                   {oss ? STR("x-oss-content-sha256") : STR("x-amz-content-sha256"),
                                    oss ? STR("UNSIGNED-PAYLOAD") : STR(SIGN_EMPTY_SHA256)},
                                   {STR("host"), str_from(host)}};
    struct sign_request request = {STR("PUT"), STR_NONE,    str_from(query),
                                   headers,    oss ? 2 : 3, headers[1].value};
    AUTO(arena_free) struct arena *memory = arena_new(1 << 20);
    AUTO_BUF struct buf authorization = {0};
    struct http_answer answer;

    (void)w;
    sign_v4_date(keys.now_s, date);
    headers[0].value = str_from(date);
    (void)snprintf(path, sizeof(path), oss ? "/%s/" : "/%s", bucket);
    request.path = str_from(path);
    (void)snprintf(lines[0], 256, STR_FMT ": %s", STR_ARG(headers[0].name), date);
    (void)snprintf(lines[1], 256, STR_FMT ": " STR_FMT, STR_ARG(headers[1].name),
                   STR_ARG(headers[1].value));
    buf_init(&authorization, 1000);
    assert_int_equal(sign_v4(&keys, &request, &authorization), 0);
    (void)snprintf(lines[2], 256, "Authorization: " STR_FMT, STR_ARG(buf_str(&authorization)));
    if (oss)
        (void)snprintf(url, sizeof(url), "http://%s.%s/%s%s", bucket, host, *query ? "?" : "",
                       query);
    else
        (void)snprintf(url, sizeof(url), "http://%s/%s", host, bucket);
    assert_int_equal(
        http_call(
            &(struct http_request){.method = STR("PUT"),
                                   .url = str_from(url),
                                   .headers = (const char *const[]){lines[0], lines[1], lines[2],
                                                                    "Content-Type:", NULL},
                                   .body = str_from(body),
                                   .timeout_ms = 30000},
            memory, &answer),
        0);
    if (answer.status != 200)
        fail_msg("%s: %d " STR_FMT, url, answer.status, STR_ARG(answer.body));
}

static void misbehave(const char *how)
{
    const char *host = strstr(getenv("TRAILBUS_OSS"), "//") + 2;
    AUTO(arena_free) struct arena *memory = arena_new(1 << 20);
    struct http_answer answer;
    char url[256];

    (void)snprintf(url, sizeof(url), "http://control.%s/-/%s", host, how);
    assert_int_equal(
        http_call(
            &(struct http_request){.method = STR("POST"), .url = str_from(url), .timeout_ms = 5000},
            memory, &answer),
        0);
}

static int setup(void **state)
{
    static struct world w;
    static const char *const users[] = {"local", "writer"};

    folder_make(TEMPORARY("/tmp/trailbus-objects"), w.folder);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(w.credentials[i], sizeof(w.credentials[i]), "%s/%s", w.folder, users[i]);
        write_credentials(w.credentials[i], users[i],
                          i == S3 ? getenv("TRAILBUS_S3_SECRET_ACCESS_KEY") : "writer-secret");
    }
    w.rows[S3] = (struct destination_section){.pattern = STR("*"),
                                              .dialect = STR("s3"),
                                              .endpoint = str_from(getenv("TRAILBUS_S3")),
                                              .credentials_file = str_from(w.credentials[0])};
    w.rows[OSS] = (struct destination_section){.pattern = STR("*"),
                                               .dialect = STR("oss"),
                                               .endpoint = str_from(getenv("TRAILBUS_OSS")),
                                               .region = STR("cn-hangzhou"),
                                               .credentials_file = str_from(w.credentials[1])};
    w.rows[FILES] = (struct destination_section){
        .pattern = STR("*"), .dialect = STR("files"), .endpoint = str_from(w.folder)};
    crypto_random(w.key.bytes, sizeof(w.key.bytes));
    w.http = http_new();
    for (int i = 0; i < DIALECTS; i++) {
        w.objects[i] = open_row(&w.rows[i]);
        w.stores[i] = objects_find(w.objects[i], BUCKET);
    }
    put_bucket(&w, S3, "audit", "", "");
    put_bucket(&w, OSS, "audit", "", "");
    *state = &w;
    {
        char path[96];

        (void)snprintf(path, sizeof(path), "%s/audit", w.folder);
        return mkdir(path, 0755);
    }
}

static int teardown(void **state)
{
    struct world *w = *state;

    if (!w)
        return 0;
    for (int i = 0; i < DIALECTS; i++)
        objects_free(w->objects[i]);
    http_free(w->http);
    return folder_remove(w->folder);
}

/* ---- calls, waited for ------------------------------------------------------------------------------- */

#define KEYS_MAX 4096

struct answer {
    bool came;
    enum objects_outcome outcome;
    enum objects_fault fault;
    struct object_meta meta;
    bool meta_valid;
    char keys[OBJECTS_LIST_KEYS_MAX][128];
    size_t key_count;
    char token[256];
    char text[128]; /* what the body holds */
    struct why why;
};

/* Of what was got: unpacked, as far as there is room. */
static void unpack(struct str body, char *to, size_t size)
{
    AUTO_BUF struct buf plain = {0};

    buf_init(&plain, 1 << 20);
    if (body.len && gzip_unpack(body, &plain) == 0)
        (void)snprintf(to, size, STR_FMT, STR_ARG(buf_str(&plain)));
}

static void on_answer(void *arg, const struct objects_result *r)
{
    struct answer *a = arg;

    assert_false(a->came);
    a->came = true;
    a->outcome = r->outcome;
    a->fault = r->fault;
    a->meta = r->meta;
    a->meta_valid = r->meta_valid;
    a->why = r->why;
    unpack(r->body, a->text, sizeof(a->text));
    a->key_count = r->key_count;
    for (size_t i = 0; i < r->key_count; i++)
        (void)snprintf(a->keys[i], sizeof(a->keys[i]), STR_FMT, STR_ARG(r->keys[i]));
    (void)snprintf(a->token, sizeof(a->token), STR_FMT, STR_ARG(r->next_token));
}

static struct answer *wait_answer(struct world *w, struct answer *a, int r)
{
    assert_int_equal(r, 0);
    assert_false(a->came); /* answers come from http_poll() */
    while (!a->came)
        http_poll(w->http, NULL, 0, 1000);
    return a;
}

static struct object_meta meta_of(int64_t first)
{
    struct object_meta m = {.partition = 3,
                            .from = first - 1,
                            .first = first,
                            .last = first + 9,
                            .next = first + 10,
                            .count = 10,
                            .version = 1};

    memcpy(m.chain, "0123456789abcdef", OBJECT_CHAIN_SIZE);
    return m;
}

static void pack(const char *text, struct buf *out)
{
    AUTO(gzip_free) struct gzip *gzip = gzip_new();

    buf_init(out, 32 << 20);
    assert_int_equal(gzip_pack(gzip, str_from(text), out), 0);
}

/* Writes an object whose metadata begins at `first`. */
static struct answer *put(struct world *w, int dialect, const char *key, int64_t first)
{
    static struct answer a;
    AUTO_BUF struct buf body = {0};
    struct object_meta_field fields[OBJECT_META_FIELDS];
    struct object_meta meta = meta_of(first);

    a = (struct answer){0};
    pack("[{\"eventId\":\"e\"}]\n", &body);
    object_meta_render(&meta, &w->key, BUCKET, str_from(key), fields);
    return wait_answer(w, &a,
                       objects_put(w->http, w->stores[dialect], now_s(), BUCKET, str_from(key),
                                   buf_str(&body), fields, OBJECT_META_FIELDS, on_answer, &a));
}

static struct answer *head(struct world *w, int dialect, struct str bucket, const char *key)
{
    static struct answer a;

    a = (struct answer){0};
    return wait_answer(w, &a,
                       objects_head(w->http, w->stores[dialect], now_s(), bucket, str_from(key),
                                    &w->key, on_answer, &a));
}

static struct answer *get(struct world *w, int dialect, const char *key)
{
    static struct answer a;

    a = (struct answer){0};
    return wait_answer(w, &a,
                       objects_get(w->http, w->stores[dialect], now_s(), BUCKET, str_from(key),
                                   &w->key, on_answer, &a));
}

static struct answer *list(struct world *w, int dialect, struct str bucket, const char *prefix,
                           const char *after, const char *token)
{
    static struct answer a;

    a = (struct answer){0};
    return wait_answer(w, &a,
                       objects_list(w->http, w->stores[dialect], now_s(), bucket, str_from(prefix),
                                    str_from(after), str_from(token), on_answer, &a));
}

/* ---- every dialect ------------------------------------------------------------------------------------- */

static void an_object_is_written_once_and_keeps_its_metadata(void **state)
{
    struct world *w = *state;

    for (int d = 0; d < DIALECTS; d++) {
        struct answer *a;

        print_message("%s\n", objects_dialect(w->stores[d]));
        a = head(w, d, BUCKET, "p/AliyunLogs/once.gz");
        assert_int_equal(a->outcome, OBJECTS_NOT_FOUND);
        a = put(w, d, "p/AliyunLogs/once.gz", 100);
        assert_string_equal(a->why.text, "");
        assert_int_equal(a->outcome, OBJECTS_OK);
        assert_int_equal(put(w, d, "p/AliyunLogs/once.gz", 200)->outcome, OBJECTS_EXISTS);
        a = head(w, d, BUCKET, "p/AliyunLogs/once.gz");
        assert_int_equal(a->outcome, OBJECTS_OK);
        assert_true(a->meta_valid);
        assert_int_equal(a->meta.first, 100);
        assert_int_equal(a->meta.next, 110);
        assert_string_equal(a->meta.chain, "0123456789abcdef");
    }
}

static void an_object_is_got_with_its_metadata(void **state)
{
    struct world *w = *state;

    for (int d = 0; d < DIALECTS; d++) {
        struct answer *a;

        print_message("%s\n", objects_dialect(w->stores[d]));
        assert_int_equal(put(w, d, "p/AliyunLogs/got.gz", 100)->outcome, OBJECTS_OK);
        a = get(w, d, "p/AliyunLogs/got.gz");
        assert_string_equal(a->why.text, "");
        assert_int_equal(a->outcome, OBJECTS_OK);
        assert_true(a->meta_valid);
        assert_int_equal(a->meta.first, 100);
        assert_string_equal(a->text, "[{\"eventId\":\"e\"}]\n");
        assert_int_equal(get(w, d, "p/AliyunLogs/not.gz")->outcome, OBJECTS_NOT_FOUND);
    }
}

static void metadata_is_of_its_key_and_deployment(void **state)
{
    struct world *w = *state;

    for (int d = 0; d < DIALECTS; d++) {
        struct crypto_key ours = w->key;
        struct answer *a;

        assert_int_equal(put(w, d, "p/signed.gz", 5)->outcome, OBJECTS_OK);
        crypto_random(w->key.bytes, sizeof(w->key.bytes));
        a = head(w, d, BUCKET, "p/signed.gz");
        w->key = ours;
        assert_int_equal(a->outcome, OBJECTS_OK);
        assert_false(a->meta_valid);
        assert_non_null(strstr(a->why.text, "not signed"));
    }
}

/* Answers of writes that run at once. */
static void on_race(void *arg, const struct objects_result *r)
{
    int *outcomes = arg;

    outcomes[r->outcome]++;
}

static void of_writers_at_once_one_wins(void **state)
{
    enum { WRITERS = 24 };
    struct world *w = *state;
    AUTO_BUF struct buf body = {0};

    pack("[]", &body);
    for (int d = 0; d < DIALECTS; d++) {
        struct object_meta_field fields[WRITERS][OBJECT_META_FIELDS];
        int outcomes[OBJECTS_REFUSED + 1] = {0};
        struct answer *a;

        for (int i = 0; i < WRITERS; i++) {
            struct object_meta meta = meta_of(1000 + i);

            object_meta_render(&meta, &w->key, BUCKET, STR("p/race.gz"), fields[i]);
            assert_int_equal(objects_put(w->http, w->stores[d], now_s(), BUCKET, STR("p/race.gz"),
                                         buf_str(&body), fields[i], OBJECT_META_FIELDS, on_race,
                                         outcomes),
                             0);
        }
        while (http_active(w->http))
            http_poll(w->http, NULL, 0, 1000);
        print_message("%s: %d created, %d exist, %d unclear\n", objects_dialect(w->stores[d]),
                      outcomes[OBJECTS_OK], outcomes[OBJECTS_EXISTS], outcomes[OBJECTS_UNCLEAR]);
        assert_int_equal(outcomes[OBJECTS_OK], 1);
        assert_int_equal(outcomes[OBJECTS_EXISTS] + outcomes[OBJECTS_UNCLEAR], WRITERS - 1);
        a = head(w, d, BUCKET, "p/race.gz");
        assert_true(a->meta_valid);
    }
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Names around '/', which sort as keys in another order than as folders. */
static void name_key(size_t i, char ret[128])
{
    static const char *const middles[] = {"a/", "a-b/", "a.b/c/", "a/b/", "a b/", "a&b/", "ä/"};

    (void)snprintf(ret, 128, "l/%s%05zu.gz", middles[i % ARRAY_LEN(middles)], i * 7919 % 100000);
}

static void on_filled(void *arg, const struct objects_result *r)
{
    assert_int_equal(r->outcome, OBJECTS_OK);
    (*(size_t *)arg)++;
}

static void fill(struct world *w, int dialect, char keys[][128], size_t count)
{
    size_t done = 0;

    for (size_t i = 0; i < count; i++) {
        name_key(i, keys[i]);
        while (http_active(w->http) >= 32)
            http_poll(w->http, NULL, 0, 1000);
        assert_int_equal(objects_put(w->http, w->stores[dialect], now_s(), BUCKET,
                                     str_from(keys[i]), STR("x"), NULL, 0, on_filled, &done),
                         0);
    }
    while (done < count)
        http_poll(w->http, NULL, 0, 1000);
    qsort(keys, count, 128, compare_keys);
}

static size_t list_all(struct world *w, int dialect, const char *prefix, const char *after,
                       char ret[][128], int *ret_pages)
{
    char token[256] = "";
    size_t count = 0;

    *ret_pages = 0;
    do {
        struct answer *a = list(w, dialect, BUCKET, prefix, after, token);

        assert_int_equal(a->outcome, OBJECTS_OK);
        for (size_t i = 0; i < a->key_count; i++)
            memcpy(ret[count++], a->keys[i], 128);
        (void)snprintf(token, sizeof(token), "%s", a->token);
        (*ret_pages)++;
    } while (*token);
    return count;
}

static void listings_are_whole(void **state)
{
    enum { COUNT = 1100 };
    struct world *w = *state;
    static char want[COUNT][128], got[COUNT + 1][128];

    for (int d = 0; d < DIALECTS; d++) {
        int pages;
        size_t count;

        fill(w, d, want, COUNT);
        count = list_all(w, d, "l/", "", got, &pages);
        print_message("%s: %zu keys in %d pages\n", objects_dialect(w->stores[d]), count, pages);
        if (d == S3)
            qsort(got, count, 128, compare_keys); /* SeaweedFS lists folder by folder */
        assert_int_equal(count, COUNT);
        assert_true(pages >= 2);
        for (size_t i = 0; i < COUNT; i++)
            assert_string_equal(got[i], want[i]);
        count = list_all(w, d, "l/a/", "l/a/5", got, &pages);
        assert_true(count > 0);
        for (size_t i = 0; i < count; i++)
            assert_true(strcmp(got[i], "l/a/5") > 0 && strncmp(got[i], "l/a/", 4) == 0);
        assert_int_equal(list_all(w, d, "l/none/", "", got, &pages), 0);
    }
}

static void a_missing_bucket_is_said_to_be_missing(void **state)
{
    struct world *w = *state;

    for (int d = 0; d < DIALECTS; d++)
        assert_int_equal(list(w, d, STR("nobucket"), "p/", "", "")->outcome, OBJECTS_NO_BUCKET);
}

/* ---- the probe --------------------------------------------------------------------------------------- */

static struct objects_probe probe_row(const struct destination_section *row, const char *bucket,
                                      int64_t at_s)
{
    AUTO(objects_free) struct objects *objects = open_row(row);
    struct objects_probe probe;

    (void)objects_probe(objects_find(objects, str_from(bucket)), at_s, str_from(bucket), STR("q"),
                        &probe);
    print_message("%.*s: %s at step %d, fault %d: %s\n", STR_ARG(row->dialect),
                  objects_outcome_name(probe.outcome), probe.step, probe.fault, probe.why.text);
    return probe;
}

static void a_probe_passes_and_passes_again(void **state)
{
    struct world *w = *state;

    for (int d = 0; d < DIALECTS; d++) {
        for (int times = 0; times < 2; times++) {
            struct objects_probe probe = probe_row(&w->rows[d], "audit", now_s());

            assert_int_equal(probe.outcome, OBJECTS_OK);
            assert_int_equal(probe.step, OBJECTS_STEP_DONE);
        }
    }
}

static void probe_as(struct world *w, int dialect, const char *user, const char *secret,
                     enum objects_fault fault, enum objects_step step)
{
    struct destination_section row = w->rows[dialect];
    struct objects_probe probe;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/other", w->folder);
    write_credentials(path, user, secret);
    row.credentials_file = str_from(path);
    probe = probe_row(&row, "audit", now_s());
    assert_int_equal(probe.outcome, OBJECTS_DENIED);
    assert_int_equal(probe.fault, fault);
    assert_int_equal(probe.step, step);
}

static void a_probe_finds_keys_and_rights(void **state)
{
    struct world *w = *state;

    probe_as(w, S3, "local", "wrong", OBJECTS_FAULT_KEYS, OBJECTS_STEP_LIST);
    probe_as(w, S3, "nobody", "wrong", OBJECTS_FAULT_KEYS, OBJECTS_STEP_LIST);
    probe_as(w, OSS, "writer", "wrong", OBJECTS_FAULT_KEYS, OBJECTS_STEP_VERSIONING);
    probe_as(w, OSS, "nobody", "wrong", OBJECTS_FAULT_KEYS, OBJECTS_STEP_VERSIONING);
    probe_as(w, OSS, "blind", "blind-secret", OBJECTS_FAULT_RIGHTS, OBJECTS_STEP_LIST);
    put_bucket(w, OSS, "fresh", "", "");
    {
        struct destination_section row = w->rows[OSS];
        struct objects_probe probe;
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/other", w->folder);
        write_credentials(path, "reader", "reader-secret");
        row.credentials_file = str_from(path);
        probe = probe_row(&row, "fresh", now_s());
        assert_int_equal(probe.fault, OBJECTS_FAULT_RIGHTS);
        assert_int_equal(probe.step, OBJECTS_STEP_WRITE);
    }
}

static void a_probe_finds_what_else_is_wrong(void **state)
{
    struct world *w = *state;
    struct destination_section row;

    for (int d = 0; d < DIALECTS; d++) {
        struct objects_probe probe = probe_row(&w->rows[d], "nobucket", now_s());

        assert_int_equal(probe.outcome, OBJECTS_NO_BUCKET);
        assert_int_equal(probe.fault, OBJECTS_FAULT_BUCKET);
    }
    for (int d = 0; d < FILES; d++) { /* the store's clock is the right one */
        assert_int_equal(probe_row(&w->rows[d], "audit", now_s() - 3600).fault,
                         OBJECTS_FAULT_CLOCK);
        row = w->rows[d];
        row.endpoint = STR("http://127.0.0.1:9");
        row.addressing = STR("path");
        assert_int_equal(probe_row(&row, "audit", now_s()).fault, OBJECTS_FAULT_CONNECT);
        row.endpoint = STR("http://nowhere.invalid");
        assert_int_equal(probe_row(&row, "audit", now_s()).fault, OBJECTS_FAULT_NAME);
    }
}

static void versioning_is_refused_by_oss(void **state)
{
    static const char *const states[] = {"Enabled", "Suspended"};
    struct world *w = *state;

    put_bucket(w, OSS, "versioned", "", "");
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        struct objects_probe probe;
        char body[128];

        (void)snprintf(body, sizeof(body),
                       "<VersioningConfiguration><Status>%s</Status></VersioningConfiguration>",
                       states[i]);
        put_bucket(w, OSS, "versioned", "versioning", body);
        probe = probe_row(&w->rows[OSS], "versioned", now_s());
        assert_int_equal(probe.outcome, OBJECTS_REFUSED);
        assert_int_equal(probe.fault, OBJECTS_FAULT_VERSIONING);
        assert_int_equal(probe.step, OBJECTS_STEP_VERSIONING);
        assert_non_null(strstr(probe.why.text, states[i]));
    }
}

/* ---- answers that are late, lost or none --------------------------------------------------------------- */

static void a_lost_answer_is_unclear_and_then_found(void **state)
{
    struct world *w = *state;
    struct answer *a;

    misbehave("lose");
    a = put(w, OSS, "p/lost.gz", 50);
    /* On a connection that was used before libcurl repeats the request by itself, and finds what it wrote. */
    assert_true(a->outcome == OBJECTS_UNCLEAR || a->outcome == OBJECTS_EXISTS);
    assert_int_equal(put(w, OSS, "p/lost.gz", 50)->outcome, OBJECTS_EXISTS);
    a = head(w, OSS, BUCKET, "p/lost.gz");
    assert_true(a->meta_valid);
    assert_int_equal(a->meta.first, 50);
    misbehave("trouble");
    a = put(w, OSS, "p/trouble.gz", 60);
    assert_int_equal(a->outcome, OBJECTS_UNCLEAR);
    assert_int_equal(a->fault, OBJECTS_FAULT_TROUBLE);
    assert_int_equal(put(w, OSS, "p/trouble.gz", 60)->outcome, OBJECTS_OK);
}

/* One that takes connections and says nothing. */
static int open_silent_server(char *ret_endpoint, size_t size)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fd, 10), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    (void)snprintf(ret_endpoint, size, "http://127.0.0.1:%d", ntohs(at.sin_port));
    return fd;
}

/* Else a caller who asks for a trail waits for minutes, since the bucket is tried out first. */
static void a_silent_store_holds_a_small_object_up_no_longer_than_any_call(void **state)
{
    struct world *w = *state;
    struct destination_section row = w->rows[S3];
    struct timespec before, after;
    struct answer a = {0};
    char endpoint[64];
    int fd = open_silent_server(endpoint, sizeof(endpoint));
    AUTO(objects_free) struct objects *objects = NULL;

    row.endpoint = str_from(endpoint);
    objects = open_row(&row);
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &before), 0);
    (void)wait_answer(w, &a,
                      objects_put(w->http, objects_find(objects, BUCKET), now_s(), BUCKET,
                                  STR("small"), STR("body"), NULL, 0, on_answer, &a));
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &after), 0);
    (void)close(fd);
    assert_int_equal(a.outcome, OBJECTS_UNCLEAR);
    assert_in_range(after.tv_sec - before.tv_sec, 0, OBJECTS_PUT_TIMEOUT_MS / 2 / 1000);
}

static void a_page_of_html_is_no_listing(void **state)
{
    struct world *w = *state;
    struct answer *a;

    misbehave("garbage");
    a = list(w, OSS, BUCKET, "p/", "", "");
    assert_int_equal(a->outcome, OBJECTS_REFUSED);
    assert_int_equal(a->fault, OBJECTS_FAULT_SILENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_object_is_written_once_and_keeps_its_metadata),
        TEST(an_object_is_got_with_its_metadata),
        TEST(metadata_is_of_its_key_and_deployment),
        TEST(of_writers_at_once_one_wins),
        TEST(listings_are_whole),
        TEST(a_missing_bucket_is_said_to_be_missing),
        TEST(a_probe_passes_and_passes_again),
        TEST(a_probe_finds_keys_and_rights),
        TEST(a_probe_finds_what_else_is_wrong),
        TEST(versioning_is_refused_by_oss),
        TEST(a_lost_answer_is_unclear_and_then_found),
        TEST(a_silent_store_holds_a_small_object_up_no_longer_than_any_call),
        TEST(a_page_of_html_is_no_listing),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
