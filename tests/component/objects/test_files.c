/* test_files.c - the dialect of files: what a killed writer leaves behind, races of processes, and files that are not as we write
 * them.
 *
 * links: gzip
 */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gzip/gzip.h"
#include "objects/objects.h"

#include "folder.h"

#define BUCKET STR("audit")

struct world {
    char folder[FOLDER_SIZE];
    struct objects *objects;
    const struct objects_store *store;
    struct http *http;
    struct crypto_key key;
};

static int setup(void **state)
{
    static struct world w;
    struct destination_section row = {.pattern = STR("*"), .dialect = STR("files")};
    struct config_groups rows = {&row, 1};
    struct why why = {0};
    char path[96];

    folder_make(TEMPORARY("/tmp/trailbus-files"), w.folder);
    (void)snprintf(path, sizeof(path), "%s/audit", w.folder);
    assert_int_equal(mkdir(path, 0755), 0);
    row.endpoint = str_from(w.folder);
    assert_ok(objects_open(&rows, &w.objects, &why), why);
    w.store = objects_find(w.objects, BUCKET);
    w.http = http_new();
    memset(w.key.bytes, 7, sizeof(w.key.bytes));
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    objects_free(w->objects);
    http_free(w->http);
    return folder_remove(w->folder);
}

static const char *path_of(const struct world *w, const char *key)
{
    static char path[512];

    (void)snprintf(path, sizeof(path), "%s/audit/%s", w->folder, key);
    return path;
}

/* ---- calls --------------------------------------------------------------------------------------------- */

struct answer {
    enum objects_outcome outcome;
    bool meta_valid;
    struct object_meta meta;
    size_t key_count;
    char first_key[256];
    struct why why;
};

static void on_answer(void *arg, const struct objects_result *r)
{
    struct answer *a = arg;

    *a = (struct answer){r->outcome, r->meta_valid, r->meta, r->key_count, "", r->why};
    if (r->key_count)
        (void)snprintf(a->first_key, sizeof(a->first_key), STR_FMT, STR_ARG(r->keys[0]));
}

static enum objects_outcome put_bytes(struct world *w, const char *key, struct str body,
                                      int64_t first, struct answer *ret)
{
    struct object_meta_field fields[OBJECT_META_FIELDS];
    struct object_meta meta = {.chain = "0123456789abcdef",
                               .from = first,
                               .first = first,
                               .last = first,
                               .next = first + 1,
                               .count = 1};

    object_meta_render(&meta, &w->key, BUCKET, str_from(key), fields);
    assert_int_equal(objects_put(w->http, w->store, 0, BUCKET, str_from(key), body, fields,
                                 OBJECT_META_FIELDS, on_answer, ret),
                     0);
    http_poll(w->http, NULL, 0, 0);
    return ret->outcome;
}

static void pack(struct str plain, struct buf *out)
{
    AUTO(gzip_free) struct gzip *gzip = gzip_new();

    buf_init(out, 64 << 20);
    assert_int_equal(gzip_pack(gzip, plain, out), 0);
}

static enum objects_outcome put(struct world *w, const char *key, int64_t first)
{
    AUTO_BUF struct buf body = {0};
    struct answer a;

    pack(STR("[{\"eventId\":\"e\"}]\n"), &body);
    return put_bytes(w, key, buf_str(&body), first, &a);
}

static struct answer head(struct world *w, const char *key)
{
    struct answer a;

    assert_int_equal(
        objects_head(w->http, w->store, 0, BUCKET, str_from(key), &w->key, on_answer, &a), 0);
    http_poll(w->http, NULL, 0, 0);
    return a;
}

static struct answer list(struct world *w, const char *prefix)
{
    struct answer a;

    assert_int_equal(objects_list(w->http, w->store, 0, BUCKET, str_from(prefix), STR_NONE,
                                  STR_NONE, on_answer, &a),
                     0);
    http_poll(w->http, NULL, 0, 0);
    return a;
}

static size_t files_found;
static int count_file(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)path;
    (void)st;
    (void)at;
    files_found += kind == FTW_F;
    return 0;
}

/* All files below the bucket's folder, whatever their names. */
static size_t count_files(const struct world *w, const char *prefix)
{
    files_found = 0;
    (void)nftw(path_of(w, prefix), count_file, 16, FTW_PHYS);
    return files_found;
}

static void read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "re");
    size_t len;

    assert_non_null(file);
    assert_non_null(buf_reserve(out, 32 << 20));
    len = fread(out->at, 1, 32 << 20, file);
    out->len = len;
    (void)fclose(file);
}

/* ---- what is written --------------------------------------------------------------------------------------- */

static void any_reader_of_gzip_reads_an_object(void **state)
{
    struct world *w = *state;
    AUTO_BUF struct buf packed = {0}, plain = {0};
    char command[1200];

    assert_int_equal(put(w, "g/one.gz", 7), OBJECTS_OK);
    buf_init(&packed, 64 << 20);
    buf_init(&plain, 1 << 20);
    read_file(path_of(w, "g/one.gz"), &packed);
    assert_int_equal(gzip_unpack(buf_str(&packed), &plain), 0);
    assert_str_eq(buf_str(&plain), STR("[{\"eventId\":\"e\"}]\n"));
    (void)snprintf(command, sizeof(command), "gzip -t %s && gzip -dc %s | grep -q eventId",
                   path_of(w, "g/one.gz"), path_of(w, "g/one.gz"));
    assert_int_equal(system(command), 0);
}

static void keys_that_lead_elsewhere_are_refused(void **state)
{
    static const char *const keys[] = {"",       "../x.gz", "a/../../x.gz", "/etc/x.gz", "a//b.gz",
                                       "./x.gz", "a/"};
    struct world *w = *state;
    AUTO_BUF struct buf body = {0};
    struct answer a;

    pack(STR("[]"), &body);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_int_equal(put_bytes(w, keys[i], buf_str(&body), 1, &a), OBJECTS_REFUSED);
    assert_int_equal(objects_put(w->http, w->store, 0, STR("../etc"), STR("x.gz"), STR("x"), NULL,
                                 0, on_answer, &a),
                     0);
    http_poll(w->http, NULL, 0, 0);
    assert_int_equal(a.outcome, OBJECTS_REFUSED);
}

static void metadata_needs_a_gzip_member(void **state)
{
    struct world *w = *state;
    struct answer a;

    assert_int_equal(put_bytes(w, "plain.gz", STR("[] and more bytes"), 1, &a), OBJECTS_REFUSED);
    assert_int_equal(put_bytes(w, "short.gz", STR("\x1f\x8b"), 1, &a), OBJECTS_REFUSED);
    assert_int_equal(count_files(w, "plain.gz"), 0);
}

/* ---- races and deaths ----------------------------------------------------------------------------------------- */

static void of_processes_at_once_one_creates(void **state)
{
    enum { PROCESSES = 6, KEYS = 60 };
    struct world *w = *state;
    int(*won)[KEYS] = mmap(NULL, sizeof(int[PROCESSES][KEYS]), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(won != MAP_FAILED);
    for (int p = 0; p < PROCESSES; p++) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid)
            continue;
        for (int k = 0; k < KEYS; k++) {
            char key[64];
            enum objects_outcome outcome;

            (void)snprintf(key, sizeof(key), "race/%02d/%d.gz", k / 10, k);
            outcome = put(w, key, p + 1);
            won[p][k] = outcome == OBJECTS_OK ? 1 : outcome == OBJECTS_EXISTS ? 0 : 1000;
        }
        _exit(0);
    }
    for (int p = 0; p < PROCESSES; p++) {
        int status;

        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    for (int k = 0; k < KEYS; k++) {
        int winners = 0, winner = 0;
        char key[64];
        struct answer a;

        (void)snprintf(key, sizeof(key), "race/%02d/%d.gz", k / 10, k);
        for (int p = 0; p < PROCESSES; p++) {
            winners += won[p][k];
            winner = won[p][k] ? p : winner;
        }
        assert_int_equal(winners, 1);
        a = head(w, key);
        assert_true(a.meta_valid);
        assert_int_equal(a.meta.first, winner + 1);
    }
    (void)munmap(won, sizeof(int[PROCESSES][KEYS]));
}

static void noise(struct buf *out, size_t len)
{
    char *to = buf_reserve(out, len);

    assert_non_null(to);
    crypto_random(to, len);
    out->len += len;
}

/* SIGXFSZ, which ends it, comes in the middle of a write(2): a death at a place that can be chosen. */
static void a_writer_that_dies_mid_file_leaves_nothing(void **state)
{
    static const rlim_t places[] = {1, 11, 500, 4096, 1000000};
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
            AUTO_BUF struct buf plain = {0}, body = {0};
            const struct rlimit limit = {places[i], places[i]}, no_core = {0, 0};
            struct answer a;

            (void)signal(SIGXFSZ, SIG_DFL);
            (void)setrlimit(RLIMIT_CORE, &no_core);
            buf_init(&plain, 4 << 20);
            noise(&plain, 2 << 20);
            pack(buf_str(&plain), &body);
            if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
                _exit(1);
            (void)put_bytes(w, "dead/one.gz", buf_str(&body), 1, &a);
            _exit(2);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGXFSZ);
        assert_int_equal(count_files(w, "dead"), 0);
        assert_int_equal(list(w, "dead/").key_count, 0);
        assert_int_equal(head(w, "dead/one.gz").outcome, OBJECTS_NOT_FOUND);
    }
    assert_int_equal(put(w, "dead/one.gz", 9), OBJECTS_OK);
    assert_int_equal(head(w, "dead/one.gz").meta.first, 9);
}

static void a_full_disk_is_unclear_and_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct rlimit before, small;
    AUTO_BUF struct buf plain = {0}, body = {0};
    struct answer a;

    buf_init(&plain, 4 << 20);
    noise(&plain, 1 << 20);
    pack(buf_str(&plain), &body);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){100000, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    (void)put_bytes(w, "full/one.gz", buf_str(&body), 1, &a);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(a.outcome, OBJECTS_UNCLEAR);
    assert_int_equal(count_files(w, "full"), 0);
    assert_int_equal(put_bytes(w, "full/one.gz", buf_str(&body), 1, &a), OBJECTS_OK);
}

static void what_killed_writers_left_is_whole(void **state)
{
    enum { ROUNDS = 25 };
    struct world *w = *state;
    struct draws draws = draws_begin();
    size_t whole = 0;

    for (int round = 0; round < ROUNDS; round++) {
        pid_t pid = fork();
        char key[64];

        assert_true(pid >= 0);
        for (int k = 0; pid == 0 && k < INT32_MAX; k++) {
            AUTO_BUF struct buf plain = {0}, body = {0};
            struct answer a;

            buf_init(&plain, 1 << 20);
            noise(&plain, 300000);
            pack(buf_str(&plain), &body);
            (void)snprintf(key, sizeof(key), "killed/%d/%d.gz", round, k);
            if (put_bytes(w, key, buf_str(&body), k + 1, &a) != OBJECTS_OK)
                _exit(1);
        }
        (void)usleep((useconds_t)draws_next(&draws, 40000));
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        for (int k = 0;; k++) {
            AUTO_BUF struct buf packed = {0}, plain = {0};
            struct answer a;

            (void)snprintf(key, sizeof(key), "killed/%d/%d.gz", round, k);
            a = head(w, key);
            if (a.outcome == OBJECTS_NOT_FOUND)
                break;
            assert_true(a.meta_valid);
            assert_int_equal(a.meta.first, k + 1);
            buf_init(&packed, 64 << 20);
            buf_init(&plain, 4 << 20);
            read_file(path_of(w, key), &packed);
            assert_int_equal(gzip_unpack(buf_str(&packed), &plain), 0);
            assert_int_equal(plain.len, 300000);
            whole++;
        }
    }
    print_message("%zu files of killed writers, all whole\n", whole);
    assert_int_equal(count_files(w, "killed"), whole);
}

/* ---- files that are not as we write them ------------------------------------------------------------------------ */

static void write_file(const char *path, struct str bytes)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes.at, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
}

static void damaged_files_have_no_metadata(void **state)
{
    struct world *w = *state;
    AUTO_BUF struct buf good = {0}, bad = {0};
    struct draws draws = draws_begin();
    const char *key = "bad/one.gz";
    size_t fields;

    assert_int_equal(put(w, key, 3), OBJECTS_OK);
    buf_init(&good, 64 << 20);
    buf_init(&bad, 64 << 20);
    read_file(path_of(w, key), &good);
    assert_true(head(w, key).meta_valid);
    fields = 12 + (unsigned char)good.at[10] + ((size_t)(unsigned char)good.at[11] << 8);
    for (size_t len = 0; len < fields; len += len < 40 ? 1 : 13) { /* cut short */
        struct answer a;

        write_file(path_of(w, key), str_of(good.at, len));
        a = head(w, key);
        assert_int_equal(a.outcome, OBJECTS_OK);
        assert_false(a.meta_valid);
        assert_true(a.why.text[0] != '\0');
    }
    for (int i = 0; i < 400; i++) { /* a byte is another */
        size_t at = draws_next(&draws, fields);

        buf_reset(&bad);
        buf_add_str(&bad, buf_str(&good));
        bad.at[at] = (char)(bad.at[at] ^ (char)(1 + draws_next(&draws, 255)));
        write_file(path_of(w, key), buf_str(&bad));
        if (at >= 16) /* before lie lengths and flags, which may be others without harm */
            assert_false(head(w, key).meta_valid);
        else
            (void)head(w, key);
    }
}

static void what_is_no_file_is_refused(void **state)
{
    struct world *w = *state;
    char outside[128];

    assert_int_equal(put(w, "odd/first.gz", 1), OBJECTS_OK);
    assert_int_equal(mkdir(path_of(w, "odd/folder.gz"), 0755), 0);
    assert_int_equal(mkfifo(path_of(w, "odd/fifo.gz"), 0644), 0);
    (void)snprintf(outside, sizeof(outside), "%s/outside", w->folder);
    assert_int_equal(symlink(outside, path_of(w, "odd/link.gz")), 0);
    assert_int_equal(head(w, "odd/folder.gz").outcome, OBJECTS_REFUSED);
    assert_int_equal(head(w, "odd/fifo.gz").outcome, OBJECTS_REFUSED);
    assert_int_equal(head(w, "odd/link.gz").outcome, OBJECTS_REFUSED);
    assert_int_equal(put(w, "odd/link.gz", 2), OBJECTS_EXISTS);
    assert_int_equal(access(outside, F_OK), -1);
    assert_int_equal(head(w, "odd/first.gz/below.gz").outcome, OBJECTS_REFUSED);
}

static void rights_are_denied(void **state)
{
    struct world *w = *state;

    if (geteuid() == 0) /* whom nothing is denied: as somebody else, in a process of its own */
        (void)chmod(w->folder, 0755);
    assert_int_equal(put(w, "rights/one.gz", 1), OBJECTS_OK);
    assert_int_equal(chmod(path_of(w, "rights"), 0555), 0);
    {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
            if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
                _exit(3);
            _exit(put(w, "rights/two.gz", 2) == OBJECTS_DENIED &&
                          put(w, "rights/a/two.gz", 2) == OBJECTS_DENIED
                      ? 0
                      : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    assert_int_equal(chmod(path_of(w, "rights"), 0755), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(any_reader_of_gzip_reads_an_object),
        TEST(keys_that_lead_elsewhere_are_refused),
        TEST(metadata_needs_a_gzip_member),
        TEST(of_processes_at_once_one_creates),
        TEST(a_writer_that_dies_mid_file_leaves_nothing),
        TEST(a_full_disk_is_unclear_and_leaves_nothing),
        TEST(what_killed_writers_left_is_whole),
        TEST(damaged_files_have_no_metadata),
        TEST(what_is_no_file_is_refused),
        TEST(rights_are_denied),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
