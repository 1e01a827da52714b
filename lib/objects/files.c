/* files.c - a bucket is a folder of this machine, an object a file in it.
 *
 * A file comes into being whole: it is written without a name (O_TMPFILE), forced to disk, and then given its name by link(2), which
 * refuses a name that is taken. A writer that is killed leaves nothing behind. The metadata lies in the same inode, as the
 * gzip member's extra field (RFC 1952, subfield "TB"), so it can neither be lost alone nor come late; readers of gzip skip it.
 *
 * What was answered must survive a power cut, hence the folders are forced to disk too: by who created the file, and by who found it and
 * goes on behind it. One that was once seen on disk, with all above it, is remembered.
 *
 * The work is done in the call, on the worker's thread; only the answer comes later. So a disk that hangs holds up all that
 * the worker does: this is for disks of this machine.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "objects/dialect_door.h"

#define PATH_LEN_MAX      4096
#define DURABLE_SLOTS     4096
#define GZIP_HEAD_SIZE    10
#define EXTRA_SIZE_MAX    65535
#define FOLDER_MEMORY_MAX (64 << 20) /* the names in the folders on the way to one page */
#define FOLDER_DEPTH_MAX  64
#define GZIP_FLAG_EXTRA   4
#define KEY_LEN_MAX       1024 /* longer ones are not listed: none of ours is */

/* Hashes of folders known to be on disk, each in its own slot. A lost one costs another fsync(2). */
struct durable {
    uint64_t slots[DURABLE_SLOTS];
};

static int files_open(struct objects_store *s, struct why *why)
{
    struct str folder = s->row.endpoint;

    while (folder.len > 1 && folder.at[folder.len - 1] == '/')
        folder.len--;
    if (folder.len < 2 || folder.at[0] != '/')
        return why_set(why, -ERR_CONFIG,
                       "destination " STR_FMT ": endpoint must be the path of a folder",
                       STR_ARG(s->row.pattern));
    if (s->row.encryption.len)
        return why_set(why, -ERR_CONFIG,
                       "destination " STR_FMT ": files are encrypted by the disk, not by a setting",
                       STR_ARG(s->row.pattern));
    s->place = folder;
    s->durable = calloc(1, sizeof(*s->durable));
    return s->durable ? 0 : -ERR_NOMEM;
}

/* ---- answers ----------------------------------------------------------------------------------- */

/* A call whose answer is known, until http_poll() comes by. */
struct answer {
    struct call *call;
    struct objects_result result;
    struct arena *memory; /* of a listing */
    struct buf body;      /* of a get */
};

static void answer_free(struct answer *a)
{
    if (!a)
        return;
    arena_free(a->memory);
    buf_done(&a->body);
    free(a);
}
AUTO_DEFINE(struct answer, answer_free)

static void give_answer(void *arg)
{
    AUTO(answer_free) struct answer *a = arg;

    call_done(a->call, &a->result);
}

static struct answer *answer_new(struct call *c)
{
    struct answer *a = calloc(1, sizeof(*a));

    if (a)
        a->call = c;
    return a;
}

/* Hands the answer, which is freed, over. */
static int answer_later(struct http *http, struct answer *answer)
{
    AUTO(answer_free) struct answer *a = answer;
    int r = http_defer(http, give_answer, a);

    if (r == 0)
        a = NULL;
    return r;
}

static void bad(struct answer *a, enum objects_outcome outcome, enum objects_fault fault,
                const char *what)
{
    const struct call *c = a->call;

    a->result.outcome = outcome;
    a->result.fault = fault;
    (void)why_set(&a->result.why, 0, STR_FMT "/%s: %s", STR_ARG(c->store->place), c->bucket, what);
}

/* -1 and errno. */
static int stat_bucket(const struct call *c, struct stat *ret)
{
    char path[PATH_LEN_MAX];

    (void)snprintf(path, sizeof(path), STR_FMT "/%s", STR_ARG(c->store->place), c->bucket);
    return stat(path, ret);
}

static bool bucket_missing(const struct call *c)
{
    struct stat st;

    return stat_bucket(c, &st) < 0 && errno == ENOENT;
}

/* What errno means for `doing`. Whether a failed write left its file behind is unclear, as after a lost answer. */
static void bad_errno(struct answer *a, const char *doing)
{
    int error = errno;
    char what[160];

    (void)snprintf(what, sizeof(what), "cannot %s: %s", doing, strerror(error));
    switch (error) {
    case ENOENT:
        if (bucket_missing(a->call))
            bad(a, OBJECTS_NO_BUCKET, OBJECTS_FAULT_BUCKET, "there is no such folder");
        else
            bad(a, OBJECTS_NOT_FOUND, OBJECTS_FAULT_OTHER, what);
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        bad(a, OBJECTS_DENIED, OBJECTS_FAULT_RIGHTS, what);
        break;
    case EOPNOTSUPP:
    case EISDIR: /* what an old file system says to O_TMPFILE */
        bad(a, OBJECTS_REFUSED, OBJECTS_FAULT_OTHER,
            "its file system knows no files without a name (O_TMPFILE); ext4, xfs, btrfs and tmpfs "
            "do");
        break;
    case ENOSPC:
    case EDQUOT:
    case EIO:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EFBIG:
        bad(a, OBJECTS_UNCLEAR, OBJECTS_FAULT_TROUBLE, what);
        break;
    default:
        bad(a, OBJECTS_REFUSED, OBJECTS_FAULT_OTHER, what);
        break;
    }
}

/* ---- names ------------------------------------------------------------------------------------- */

/* Keys become paths: no part of one may lead anywhere else. */
static bool part_valid(struct str part)
{
    return part.len > 0 && part.len <= 255 && !str_eq(part, STR(".")) && !str_eq(part, STR("..")) &&
           !memchr(part.at, '\0', part.len);
}

static bool bucket_valid(const struct call *c)
{
    return part_valid(str_from(c->bucket)) && !strchr(c->bucket, '/');
}

static bool key_valid(const struct call *c)
{
    struct str rest = str_from(c->key), part;

    while (str_split(&rest, '/', &part))
        if (!part_valid(part))
            return false;
    return *c->key != '\0';
}

/* PLACE/BUCKET/KEY; *ret_folder is the length of what is before its last part, *ret_bucket that of the bucket's folder. */
static bool path_of(const struct call *c, char path[PATH_LEN_MAX], size_t *ret_bucket,
                    size_t *ret_folder)
{
    int len =
        snprintf(path, PATH_LEN_MAX, STR_FMT "/%s/%s", STR_ARG(c->store->place), c->bucket, c->key);

    if (len < 0 || len >= PATH_LEN_MAX || !bucket_valid(c) || !key_valid(c))
        return false;
    *ret_bucket = c->store->place.len + 1 + strlen(c->bucket);
    *ret_folder = (size_t)(strrchr(path, '/') - path);
    return true;
}

/* ---- folders ----------------------------------------------------------------------------------- */

/* What root makes, an operator's trailctl, is the bucket's owner's: the workers have to write there. */
static int give_away(const char *path, const struct stat *bucket)
{
    return geteuid() == 0 ? lchown(path, bucket->st_uid, bucket->st_gid) : 0;
}

/* Makes what is missing of the folders below the bucket's. -1 and errno. */
static int make_folders(char *path, const struct stat *owner, size_t bucket, size_t folder)
{
    for (size_t i = bucket + 1; i <= folder; i++) {
        int r;

        if (path[i] != '/')
            continue;
        path[i] = '\0';
        r = mkdir(path, 0777);
        if (r == 0)
            r = give_away(path, owner);
        else if (errno == EEXIST)
            r = 0;
        path[i] = '/';
        if (r < 0)
            return -1;
    }
    return 0;
}

static int sync_folder(char *path, size_t len)
{
    char last = path[len];
    int fd, r;

    path[len] = '\0';
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    path[len] = last;
    r = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0)
        (void)close(fd);
    return r;
}

/* Forces to disk that the file has its name, and its folders theirs. -1 and errno. */
static int sync_names(struct durable *durable, char *path, size_t bucket, size_t folder)
{
    uint64_t hash = str_hash(str_of(path, folder), 1);
    uint64_t *slot = &durable->slots[hash % DURABLE_SLOTS];

    if (sync_folder(path, folder) < 0)
        return -1;
    if (__atomic_load_n(slot, __ATOMIC_RELAXED) == hash)
        return 0;
    for (size_t i = folder - 1; i >= bucket; i--)
        if ((path[i] == '/' || i == bucket) && sync_folder(path, i) < 0)
            return -1;
    __atomic_store_n(slot, hash, __ATOMIC_RELAXED);
    return 0;
}

/* ---- writing ----------------------------------------------------------------------------------- */

/* The first bytes of the file: those of the body, with the metadata in an extra field. Returns how many of the body's are in
 * it; 0: the body is no gzip member, or has such a field already. */
static size_t build_head(struct str body, const struct object_meta_field *meta, size_t meta_count,
                         struct buf *out)
{
    AUTO_BUF struct buf fields = {0};
    const unsigned char *b = (const unsigned char *)body.at;
    unsigned char lengths[6];

    if (body.len < GZIP_HEAD_SIZE || b[0] != 0x1f || b[1] != 0x8b || b[2] != 8 || b[3] != 0)
        return 0;
    buf_init(&fields, EXTRA_SIZE_MAX - 4);
    for (size_t i = 0; i < meta_count; i++)
        buf_addf(&fields, "%s=%s\n", meta[i].name, meta[i].value);
    if (buf_error(&fields)) {
        out->error = buf_error(&fields);
        return 0;
    }
    lengths[0] = (unsigned char)((fields.len + 4) & 0xff);
    lengths[1] = (unsigned char)((fields.len + 4) >> 8);
    lengths[2] = 'T';
    lengths[3] = 'B';
    lengths[4] = (unsigned char)(fields.len & 0xff);
    lengths[5] = (unsigned char)(fields.len >> 8);
    buf_add(out, body.at, GZIP_HEAD_SIZE);
    buf_add(out, lengths, sizeof(lengths));
    buf_add_str(out, buf_str(&fields));
    if (buf_error(out))
        return 0;
    out->at[3] = GZIP_FLAG_EXTRA;
    return GZIP_HEAD_SIZE;
}

static int write_all(int fd, struct str bytes)
{
    while (bytes.len) {
        ssize_t n = write(fd, bytes.at, bytes.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes = str_of(bytes.at + n, bytes.len - (size_t)n);
    }
    return 0;
}

/* Gives the nameless file its name, if that is free. -1 and errno. */
static int give_name(int fd, const char *path)
{
    char self[64];

    (void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

static void create(struct answer *a, char *path, const struct stat *owner, size_t bucket,
                   size_t folder, struct str head, struct str rest)
{
    int fd;

    path[folder] = '\0';
    fd = open(path, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    path[folder] = '/';
    if (fd < 0) {
        bad_errno(a, "write there");
        return;
    }
    if ((geteuid() == 0 && fchown(fd, owner->st_uid, owner->st_gid) < 0) ||
        write_all(fd, head) < 0 || write_all(fd, rest) < 0 || fsync(fd) < 0) {
        bad_errno(a, "write");
    } else if (give_name(fd, path) < 0) {
        if (errno == EEXIST)
            a->result.outcome = OBJECTS_EXISTS;
        else
            bad_errno(a, "name a file");
    } else if (sync_names(a->call->store->durable, path, bucket, folder) < 0) {
        bad_errno(a, "force a folder to disk");
        a->result.outcome = OBJECTS_UNCLEAR; /* it is there, but for how long? */
    }
    (void)close(fd);
}

static int files_put(struct http *http, struct call *c, int64_t now_s, struct str body,
                     const struct object_meta_field *meta, size_t meta_count)
{
    AUTO(answer_free) struct answer *a = answer_new(c);
    AUTO_BUF struct buf head = {0};
    char path[PATH_LEN_MAX];
    size_t bucket, folder, taken = 0;
    struct answer *sent = a;
    struct stat owner;

    (void)now_s;
    if (!a)
        return -ERR_NOMEM;
    buf_init(&head, GZIP_HEAD_SIZE + 2 + EXTRA_SIZE_MAX);
    if (meta_count)
        taken = build_head(body, meta, meta_count, &head);
    if (!path_of(c, path, &bucket, &folder))
        bad(a, OBJECTS_REFUSED, OBJECTS_FAULT_OTHER, "the key cannot be a path");
    else if (buf_error(&head) == -ERR_NOMEM)
        bad(a, OBJECTS_UNCLEAR, OBJECTS_FAULT_TROUBLE, "no memory");
    else if (meta_count && !taken)
        bad(a, OBJECTS_REFUSED, OBJECTS_FAULT_OTHER, "no gzip member, which metadata needs");
    else if (stat_bucket(c, &owner) < 0)
        bad_errno(a, "find the folder");
    else if (make_folders(path, &owner, bucket, folder) < 0)
        bad_errno(a, "make a folder");
    else
        create(a, path, &owner, bucket, folder, buf_str(&head),
               str_of(body.at + taken, body.len - taken));
    if (a->result.outcome == OBJECTS_NOT_FOUND) /* somebody takes folders away while we make them */
        a->result.outcome = OBJECTS_UNCLEAR;
    a = NULL;
    return answer_later(http, sent);
}

/* ---- looking ----------------------------------------------------------------------------------- */

static bool meta_line(void *arg, const char *name, struct str *ret)
{
    struct str rest = *(const struct str *)arg, line, key;

    while (str_split(&rest, '\n', &line)) {
        struct str value = line;

        if (!str_split(&value, '=', &key) || !value.at || !str_eq(key, str_from(name)))
            continue;
        *ret = value;
        return true;
    }
    return false;
}

/* Our subfield of the extra field; empty when there is none that is whole, to the end of its last line. */
static struct str find_fields(struct str bytes)
{
    const unsigned char *b = (const unsigned char *)bytes.at;
    size_t end, at = GZIP_HEAD_SIZE + 2;

    if (bytes.len < at || b[0] != 0x1f || b[1] != 0x8b || !(b[3] & GZIP_FLAG_EXTRA))
        return STR("");
    end = MIN_OF(bytes.len, at + b[GZIP_HEAD_SIZE] + ((size_t)b[GZIP_HEAD_SIZE + 1] << 8));
    while (at + 4 <= end) {
        size_t len = b[at + 2] + ((size_t)b[at + 3] << 8);

        if (b[at] == 'T' && b[at + 1] == 'B' && at + 4 + len <= end)
            return str_of(bytes.at + at + 4, len && b[at + 3 + len] == '\n' ? len : 0);
        at += 4 + len;
    }
    return STR("");
}

static ssize_t read_head(int fd, char *to, size_t size)
{
    size_t len = 0;

    while (len < size) {
        ssize_t n = pread(fd, to + len, size - len, (off_t)len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

/* The whole file. -1 and errno. */
static int read_body(struct answer *a, int fd, size_t size)
{
    ssize_t len;
    char *to;

    buf_init(&a->body, OBJECTS_BODY_SIZE_MAX);
    to = buf_reserve(&a->body, size);
    if (!to) {
        errno = size > OBJECTS_BODY_SIZE_MAX ? EFBIG : ENOMEM;
        return -1;
    }
    len = read_head(fd, to, size);
    if (len < 0)
        return -1;
    a->body.len = (size_t)len;
    a->result.body = buf_str(&a->body);
    return 0;
}

static void look(struct answer *a, int fd)
{
    static const size_t size = GZIP_HEAD_SIZE + 2 + EXTRA_SIZE_MAX;
    const struct call *c = a->call;
    AUTO_FREE char *bytes = malloc(size);
    ssize_t len = bytes ? read_head(fd, bytes, size) : -1;
    struct str fields;
    struct stat st;

    if (len < 0 || fstat(fd, &st) < 0) {
        bad_errno(a, "read");
        return;
    }
    if (!S_ISREG(st.st_mode)) {
        bad(a, OBJECTS_REFUSED, OBJECTS_FAULT_OTHER, "in an object's place lies no file");
        return;
    }
    if (c->getting && read_body(a, fd, (size_t)st.st_size) < 0) {
        bad_errno(a, "read");
        return;
    }
    fields = find_fields(str_of(bytes, (size_t)len));
    a->result.meta_valid =
        c->hmac_key && object_meta_parse(meta_line, &fields, c->hmac_key, str_from(c->bucket),
                                         str_from(c->key), &a->result.meta, &a->result.why) == 0;
}

/* Of a get, too: then with the body. */
static int files_look(struct http *http, struct call *c, int64_t now_s)
{
    struct answer *a = answer_new(c);
    char path[PATH_LEN_MAX];
    size_t bucket, folder;
    int fd = -1;

    (void)now_s;
    if (!a)
        return -ERR_NOMEM;
    if (!path_of(c, path, &bucket, &folder))
        bad(a, OBJECTS_NOT_FOUND, OBJECTS_FAULT_OTHER, "the key cannot be a path");
    else if ((fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)) < 0)
        bad_errno(a, "open");
    else if (sync_names(c->store->durable, path, bucket, folder) < 0)
        bad_errno(a, "force a folder to disk"); /* who reads this goes on behind it: it must stay */
    else
        look(a, fd);
    if (fd >= 0)
        (void)close(fd);
    return answer_later(http, a);
}

/* ---- listing ----------------------------------------------------------------------------------- */

struct walk {
    struct answer *answer;
    struct arena *names; /* of the folders on the way */
    char path[PATH_LEN_MAX];
    size_t root; /* length of PLACE/BUCKET/: behind it stands the key */
    struct str prefix, after;
    int depth;
    bool full; /* the page, and there is more */
};

/* A folder's name ends in '/', so that names sort as the keys in it do. */
static int name_compare(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static bool may_hold(const struct walk *w, struct str key, bool folder)
{
    bool wanted = str_starts(key, w->prefix) || (folder && str_starts(w->prefix, key));
    bool later = str_cmp(key, w->after) > 0 || (folder && str_starts(w->after, key));

    return wanted && later;
}

/* 1: it is; 0: it is not, or is gone; -1 and errno: a folder that is left out could hold the key that matters. */
static int is_folder(DIR *dir, const struct dirent *e)
{
    struct stat st;

    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_DIR;
    if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -1;
    return S_ISDIR(st.st_mode);
}

struct names {
    struct str *at;
    size_t count, room;
};

/* -1 and errno. */
static int add_name(struct walk *w, struct names *names, const char *name, bool folder)
{
    struct str key = arena_printf(w->names, "%s%s%s", w->path + w->root, name, folder ? "/" : "");

    if (!key.at) {
        errno = ENOMEM;
        return -1;
    }
    if (key.len > KEY_LEN_MAX || !may_hold(w, key, folder))
        return 0;
    if (names->count == names->room) {
        size_t room = names->room ? names->room * 2 : 64;
        struct str *more = arena_get(w->names, room * sizeof(*more));

        if (!more) {
            errno = ENOMEM;
            return -1;
        }
        if (names->count)
            memcpy(more, names->at, names->count * sizeof(*more));
        names->at = more;
        names->room = room;
    }
    names->at[names->count++] = key;
    return 0;
}

/* The names in the folder w->path that matter, sorted. -1 and errno. */
static int read_folder(struct walk *w, struct names *names)
{
    DIR *dir = opendir(w->path);
    struct dirent *e;
    int r = 0, error;

    if (!dir)
        return -1;
    errno = 0;
    while (r == 0 && (e = readdir(dir)) != NULL) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            int folder = is_folder(dir, e);

            r = folder < 0 ? -1 : add_name(w, names, e->d_name, folder);
        }
        if (r == 0)
            errno = 0;
    }
    error = errno;
    (void)closedir(dir);
    errno = error;
    if (names->count)
        qsort(names->at, names->count, sizeof(*names->at), name_compare);
    return error ? -1 : 0;
}

/* -1 and errno. */
static int take_key(struct walk *w, struct str key)
{
    struct objects_result *result = &w->answer->result;

    if (result->key_count == OBJECTS_LIST_KEYS_MAX) {
        w->full = true;
        return 0;
    }
    key = arena_copy(w->answer->memory, key);
    if (!key.at) { /* a key that is left out could be the one that matters */
        errno = ENOMEM;
        return -1;
    }
    result->keys[result->key_count++] = key;
    return 0;
}

/* Walks the folder w->path, whose path ends in '/'. -1 and errno. */
static int walk_folder(struct walk *w)
{
    struct names names = {0};

    if (w->depth == FOLDER_DEPTH_MAX) {
        errno = ELOOP;
        return -1;
    }
    if (read_folder(w, &names) < 0)
        return errno == ENOENT && w->depth ? 0 : -1; /* gone meanwhile: not ours to wonder at */
    for (size_t i = 0; i < names.count && !w->full; i++) {
        struct str key = names.at[i];

        if (key.at[key.len - 1] != '/') {
            if (take_key(w, key) < 0)
                return -1;
            continue;
        }
        if (w->root + key.len >= PATH_LEN_MAX)
            continue;
        memcpy(w->path + w->root, key.at, key.len);
        w->path[w->root + key.len] = '\0';
        w->depth++;
        if (walk_folder(w) < 0)
            return -1;
        w->depth--;
    }
    return 0;
}

static void list(struct answer *a, struct walk *w)
{
    struct objects_result *result = &a->result;
    const struct call *c = a->call;
    int len =
        snprintf(w->path, sizeof(w->path), STR_FMT "/%s/", STR_ARG(c->store->place), c->bucket);

    w->root = (size_t)len;
    result->keys = arena_get(a->memory, OBJECTS_LIST_KEYS_MAX * sizeof(*result->keys));
    if (len < 0 || len >= PATH_LEN_MAX || !bucket_valid(c)) {
        bad(a, OBJECTS_NO_BUCKET, OBJECTS_FAULT_BUCKET, "the bucket's name cannot be a folder's");
        return;
    }
    errno = ENOMEM;
    if (!result->keys || walk_folder(w) < 0) {
        bad_errno(a, "list it");
        return;
    }
    if (w->full)
        result->next_token = result->keys[result->key_count - 1];
}

static int files_list(struct http *http, struct call *c, int64_t now_s, struct str prefix,
                      struct str start_after, struct str token)
{
    AUTO(answer_free) struct answer *a = answer_new(c);
    AUTO(arena_free) struct arena *names = arena_new(FOLDER_MEMORY_MAX);
    AUTO_FREE struct walk *w = calloc(1, sizeof(*w));
    struct answer *sent = a;

    (void)now_s;
    if (!a || !names || !w)
        return -ERR_NOMEM;
    a->memory = arena_new(OBJECTS_LIST_MEMORY_MAX);
    if (!a->memory)
        return -ERR_NOMEM;
    *w = (struct walk){
        .answer = a, .names = names, .prefix = prefix, .after = token.len ? token : start_after};
    list(a, w);
    a = NULL;
    return answer_later(http, sent);
}

const struct dialect dialect_files = {
    .name = "files",
    .open = files_open,
    .put = files_put,
    .look = files_look,
    .list = files_list,
};
