/* faults.c - the table of calls, what stands before them, and the runs. */
#include "faults.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTES_SIZE_MAX (1 << 20)
#define LIVE_SLOTS     (1 << 16)
#define BROKEN_MAX     20 /* runs of a scenario that are told of */

enum kind {
    MEMORY,
    FILES,
    OTHERS, /* fault_here() */
    KINDS,
};

static struct {
    pthread_mutex_t lock;
    bool counting;    /* calls count, and may fail */
    size_t calls;     /* of this run */
    size_t fail_at;   /* 0: none */
    bool and_after;   /* all behind it fail, too */
    bool failed;      /* one has */
    const char *what; /* the first that did */
    enum kind kind;   /* its kind */
    size_t of_kind[KINDS];
    void *live[LIVE_SLOTS]; /* memory taken while counting, and not given back */
    size_t live_count;
    char notes[NOTES_SIZE_MAX], right[NOTES_SIZE_MAX];
    size_t note_len, right_len;
    const char *scenario;
    size_t run;
    size_t broken; /* runs of this scenario in which a promise was */
    bool broken_now;
    bool warm; /* what is made once a process is there */
} f = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool fails(enum kind kind, const char *what)
{
    bool yes = false;

    (void)pthread_mutex_lock(&f.lock);
    if (f.counting) {
        f.calls++;
        f.of_kind[kind]++;
        yes = f.fail_at && (f.calls == f.fail_at || (f.and_after && f.calls > f.fail_at));
        if (yes && !f.failed) {
            f.failed = true;
            f.what = what;
            f.kind = kind;
        }
    }
    (void)pthread_mutex_unlock(&f.lock);
    return yes;
}

/* ---- memory ------------------------------------------------------------------------------------ */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);
void *__real_reallocarray(void *at, size_t count, size_t size);
void __real_free(void *at);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *at, size_t size);
void *__wrap_reallocarray(void *at, size_t count, size_t size);
void __wrap_free(void *at);

static size_t slot_of(const void *at)
{
    return (size_t)(((uintptr_t)at >> 4) * 0x9E3779B97F4A7C15ULL >> 48) % LIVE_SLOTS;
}

static void *taken(void *at)
{
    if (!at)
        return NULL;
    (void)pthread_mutex_lock(&f.lock);
    if (f.counting && f.live_count < LIVE_SLOTS / 2) {
        size_t slot = slot_of(at);

        while (f.live[slot])
            slot = (slot + 1) % LIVE_SLOTS;
        f.live[slot] = at;
        f.live_count++;
    }
    (void)pthread_mutex_unlock(&f.lock);
    return at;
}

/* What follows a slot that becomes empty moves up, so that a search never meets a gap. */
static void close_gap(size_t gap)
{
    for (size_t at = (gap + 1) % LIVE_SLOTS; f.live[at]; at = (at + 1) % LIVE_SLOTS) {
        size_t home = slot_of(f.live[at]);

        if ((at - home) % LIVE_SLOTS < (at - gap) % LIVE_SLOTS)
            continue;
        f.live[gap] = f.live[at];
        f.live[at] = NULL;
        gap = at;
    }
}

static void given_back(const void *at)
{
    size_t slot = slot_of(at);

    (void)pthread_mutex_lock(&f.lock);
    while (f.live[slot] && f.live[slot] != at)
        slot = (slot + 1) % LIVE_SLOTS;
    if (f.live[slot]) {
        f.live[slot] = NULL;
        f.live_count--;
        close_gap(slot);
    }
    (void)pthread_mutex_unlock(&f.lock);
}

static void *none(void)
{
    errno = ENOMEM;
    return NULL;
}

void *__wrap_malloc(size_t size)
{
    return fails(MEMORY, "malloc") ? none() : taken(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails(MEMORY, "calloc") ? none() : taken(__real_calloc(count, size));
}

void *__wrap_realloc(void *at, size_t size)
{
    void *now;

    if (fails(MEMORY, "realloc"))
        return none();
    if (at)
        given_back(at);
    now = __real_realloc(at, size);
    return taken(now);
}

void *__wrap_reallocarray(void *at, size_t count, size_t size)
{
    CHECK(size == 0 || count <= SIZE_MAX / size);
    return __wrap_realloc(at, count * size);
}

void __wrap_free(void *at)
{
    if (at)
        given_back(at);
    __real_free(at);
}

/* ---- files ------------------------------------------------------------------------------------- */

#define FILES_FAIL(name, error)                                                                    \
    do {                                                                                           \
        if (fails(FILES, name)) {                                                                  \
            errno = error;                                                                         \
            return -1;                                                                             \
        }                                                                                          \
    } while (0)

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *at, size_t len);
ssize_t __wrap_write(int fd, const void *at, size_t len);
ssize_t __real_read(int fd, void *at, size_t len);
ssize_t __wrap_read(int fd, void *at, size_t len);
ssize_t __real_pread(int fd, void *at, size_t len, off_t offset);
ssize_t __wrap_pread(int fd, void *at, size_t len, off_t offset);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);
int __real_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
int __real_unlinkat(int fd, const char *path, int flags);
int __wrap_unlinkat(int fd, const char *path, int flags);
int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);
DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
struct dirent *__real_readdir(DIR *dir);
struct dirent *__wrap_readdir(DIR *dir);
FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
size_t __real_fread(void *at, size_t size, size_t count, FILE *file);
size_t __wrap_fread(void *at, size_t size, size_t count, FILE *file);
int __real_ferror(FILE *file);
int __wrap_ferror(FILE *file);
int __real_stat(const char *path, struct stat *ret);
int __wrap_stat(const char *path, struct stat *ret);
int __real_fstat(int fd, struct stat *ret);
int __wrap_fstat(int fd, struct stat *ret);
int __real_fstatat(int fd, const char *path, struct stat *ret, int flags);
int __wrap_fstatat(int fd, const char *path, struct stat *ret, int flags);

int __wrap_open(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode = 0;

    if (flags & (O_CREAT | O_TMPFILE)) {
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    FILES_FAIL("open", EMFILE);
    return __real_open(path, flags, mode);
}

/* A disk that is full may take a part of it first. */
ssize_t __wrap_write(int fd, const void *at, size_t len)
{
    FILES_FAIL("write", ENOSPC);
    return __real_write(fd, at, len);
}

ssize_t __wrap_read(int fd, void *at, size_t len)
{
    FILES_FAIL("read", EIO);
    return __real_read(fd, at, len);
}

ssize_t __wrap_pread(int fd, void *at, size_t len, off_t offset)
{
    FILES_FAIL("pread", EIO);
    return __real_pread(fd, at, len, offset);
}

int __wrap_fsync(int fd)
{
    FILES_FAIL("fsync", EIO);
    return __real_fsync(fd);
}

int __wrap_link(const char *from, const char *to)
{
    FILES_FAIL("link", ENOSPC);
    return __real_link(from, to);
}

int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    FILES_FAIL("linkat", ENOSPC);
    return __real_linkat(from_fd, from, to_fd, to, flags);
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    FILES_FAIL("mkdir", ENOSPC);
    return __real_mkdir(path, mode);
}

int __wrap_unlinkat(int fd, const char *path, int flags)
{
    FILES_FAIL("unlinkat", EIO);
    return __real_unlinkat(fd, path, flags);
}

int __wrap_flock(int fd, int operation)
{
    FILES_FAIL("flock", ENOLCK);
    return __real_flock(fd, operation);
}

DIR *__wrap_opendir(const char *path)
{
    if (fails(FILES, "opendir")) {
        errno = EMFILE;
        return NULL;
    }
    return __real_opendir(path);
}

/* Not every file system says what an entry is. */
struct dirent *__wrap_readdir(DIR *dir)
{
    struct dirent *entry;

    if (fails(FILES, "readdir")) {
        errno = EIO;
        return NULL;
    }
    entry = __real_readdir(dir);
    if (entry)
        entry->d_type = DT_UNKNOWN;
    return entry;
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
    if (fails(FILES, "fopen")) {
        errno = EMFILE;
        return NULL;
    }
    return __real_fopen(path, mode);
}

/* The file whose last reading has failed. */
static const FILE *unread;

size_t __wrap_fread(void *at, size_t size, size_t count, FILE *file)
{
    unread = NULL;
    if (fails(FILES, "fread")) {
        errno = EIO;
        unread = file;
        return 0;
    }
    return __real_fread(at, size, count, file);
}

int __wrap_ferror(FILE *file)
{
    return file == unread || __real_ferror(file);
}

int __wrap_stat(const char *path, struct stat *ret)
{
    FILES_FAIL("stat", EIO);
    return __real_stat(path, ret);
}

int __wrap_fstat(int fd, struct stat *ret)
{
    FILES_FAIL("fstat", EIO);
    return __real_fstat(fd, ret);
}

int __wrap_fstatat(int fd, const char *path, struct stat *ret, int flags)
{
    FILES_FAIL("fstatat", EIO);
    return __real_fstatat(fd, path, ret, flags);
}

/* ---- for scenarios ------------------------------------------------------------------------------- */

void note(const char *format, ...)
{
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(f.notes + f.note_len, NOTES_SIZE_MAX - f.note_len, format, args);
    va_end(args);
    CHECK(len >= 0 && (size_t)len + 1 < NOTES_SIZE_MAX - f.note_len);
    f.note_len += (size_t)len;
    f.notes[f.note_len++] = '\n';
}

void note_str(const char *name, struct str text)
{
    note("%s=" STR_FMT, name, STR_ARG(text));
}

bool fault_over(void)
{
    bool failed;

    (void)pthread_mutex_lock(&f.lock);
    f.fail_at = 0;
    f.and_after = false;
    failed = f.failed;
    (void)pthread_mutex_unlock(&f.lock);
    return failed;
}

bool fault_here(const char *what)
{
    return fails(OTHERS, what);
}

void fault_pause(bool on)
{
    (void)pthread_mutex_lock(&f.lock);
    f.counting = !on;
    (void)pthread_mutex_unlock(&f.lock);
}

bool fault_happened(void)
{
    return f.failed;
}

bool fault_is_memory(void)
{
    return f.failed && f.kind == MEMORY;
}

const char *torture_folder(void)
{
    return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

static void tell(const char *text)
{
    if (f.broken < BROKEN_MAX || (f.broken == BROKEN_MAX && f.broken_now))
        (void)fprintf(stderr, "%s, run %zu%s (%s failed): %s\n", f.scenario, f.run,
                      f.and_after ? " and all after" : "", f.what ? f.what : "nothing", text);
    if (!f.broken_now)
        f.broken++;
    f.broken_now = true;
}

void promise_broken(const char *cond, const char *file, int line)
{
    char text[512];

    (void)snprintf(text, sizeof(text), "%s:%d: not so: %s", file, line, cond);
    tell(text);
}

/* ---- runs ---------------------------------------------------------------------------------------- */

static void died(int signal_number)
{
    char text[256];
    int len = snprintf(text, sizeof(text), "%s, run %zu%s: died of signal %d\n", f.scenario, f.run,
                       f.and_after ? " and all after" : "", signal_number);

    (void)__real_write(2, text, (size_t)len);
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

void fault_begin(size_t fail_at, bool and_after)
{
    f.run = fail_at;
    f.calls = 0;
    f.fail_at = fail_at;
    f.and_after = and_after;
    f.failed = f.broken_now = false;
    f.what = NULL;
    f.note_len = 0;
    memset(f.of_kind, 0, sizeof(f.of_kind));
}

bool fault_end(size_t *ret_calls)
{
    bool all = f.live_count == 0;

    f.counting = false;
    if (ret_calls)
        *ret_calls = f.calls;
    memset(f.live, 0, sizeof(f.live));
    f.live_count = 0;
    return all;
}

static int run_once(const struct scenario *s, size_t fail_at, bool and_after)
{
    int r;

    fault_begin(fail_at, and_after);
    fault_pause(false);
    r = s->run();
    f.and_after = and_after; /* for tell() */
    if (!fault_end(NULL) && f.warm)
        tell("memory is not given back");
    return r;
}

static void judge(int r)
{
    char text[256];

    if (r == 0 && (f.note_len != f.right_len || memcmp(f.notes, f.right, f.note_len) != 0)) {
        size_t at = 0;

        while (at < f.note_len && at < f.right_len && f.notes[at] == f.right[at])
            at++;
        at -= MIN_OF(at, (size_t)40);
        (void)snprintf(text, sizeof(text),
                       "says it went well, but not with what is right:\n  %.90s\n  %.90s",
                       f.notes + at, f.right + at);
        tell(text);
    }
    if (r < 0 && !f.failed) {
        (void)snprintf(text, sizeof(text), "%s, though nothing failed", err_name(r));
        tell(text);
    }
    if (r < 0 && f.failed && err_class(r) == ERR_CLASS_POISON) {
        (void)snprintf(text, sizeof(text), "blames the input: %s", err_name(r));
        tell(text);
    }
}

static void run_scenario(const struct scenario *s, size_t only)
{
    size_t calls, step, runs = 0;

    f.scenario = s->name;
    f.warm = false;
    (void)run_once(s, 0, false);
    f.warm = true;
    f.broken = 0;
    if (run_once(s, 0, false) < 0)
        tell("goes wrong by itself");
    calls = f.calls;
    (void)printf("%-24s %6zu calls (memory %zu, files %zu, others %zu)", s->name, calls,
                 f.of_kind[MEMORY], f.of_kind[FILES], f.of_kind[OTHERS]);
    memcpy(f.right, f.notes, f.note_len);
    f.right_len = f.note_len;
    f.right[f.right_len] = '\0';
    step = getenv("TORTURE_ALL") ? 1 : calls / (s->faults_max ? s->faults_max : FAULTS_MAX) + 1;
    for (size_t n = only ? only : 1; n <= calls; n += step) {
        for (int after = 0; after < 2; after++) {
            judge(run_once(s, n, after));
            runs++;
        }
        if (only)
            break;
    }
    (void)printf(", %zu runs, each %zu%s: %zu broken\n", runs, step, step == 1 ? "" : "th call",
                 f.broken);
    (void)fflush(stdout);
}

int torture(const struct scenario *scenarios, size_t count, int argc, char **argv)
{
    const char *only = getenv("TORTURE_ONLY");
    size_t broken = 0;

    (void)signal(SIGABRT, died);
    (void)signal(SIGSEGV, died);
    for (size_t i = 0; i < count; i++) {
        bool wanted = argc < 2;

        for (int a = 1; a < argc; a++)
            wanted |= strcmp(argv[a], scenarios[i].name) == 0;
        if (!wanted)
            continue;
        run_scenario(&scenarios[i], only ? strtoull(only, NULL, 10) : 0);
        broken += f.broken;
    }
    return broken ? 1 : 0;
}
