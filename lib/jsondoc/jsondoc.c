/* jsondoc.c - the door to jansson: struct jsondoc is a json_t under another name. */
#include "jsondoc/jsondoc.h"

#include <jansson.h>

/* jansson's calls for memory pass by here: jsondoc_failures(). */
static __thread unsigned failures;

static void *take(size_t size)
{
    void *at = malloc(size);

    failures += !at;
    return at;
}

__attribute__((constructor)) static void watch_memory(void)
{
    json_set_alloc_funcs(take, free);
}

static json_t *node(const struct jsondoc *doc)
{
    return (json_t *)(uintptr_t)doc;
}

static struct jsondoc *doc_of(json_t *json)
{
    return (struct jsondoc *)json;
}

unsigned jsondoc_failures(void)
{
    return failures;
}

void jsondoc_free(struct jsondoc *doc)
{
    json_decref(node(doc));
}

bool jsondoc_is_object(const struct jsondoc *doc)
{
    return json_is_object(node(doc));
}

bool jsondoc_is_array(const struct jsondoc *doc)
{
    return json_is_array(node(doc));
}

bool jsondoc_text(const struct jsondoc *doc, struct str *ret)
{
    if (!json_is_string(node(doc)))
        return false;
    *ret = str_of(json_string_value(node(doc)), json_string_length(node(doc)));
    return true;
}

bool jsondoc_number(const struct jsondoc *doc, int64_t *ret)
{
    if (!json_is_integer(node(doc)))
        return false;
    *ret = json_integer_value(node(doc));
    return true;
}

const struct jsondoc *jsondoc_get(const struct jsondoc *doc, const char *key)
{
    return doc_of(json_object_get(node(doc), key));
}

bool jsondoc_str(const struct jsondoc *doc, const char *key, struct str *ret)
{
    return jsondoc_text(jsondoc_get(doc, key), ret);
}

struct str jsondoc_str_or(const struct jsondoc *doc, const char *key, struct str otherwise)
{
    struct str s;

    return jsondoc_str(doc, key, &s) ? s : otherwise;
}

bool jsondoc_i64(const struct jsondoc *doc, const char *key, int64_t *ret)
{
    return jsondoc_number(jsondoc_get(doc, key), ret);
}

int64_t jsondoc_i64_or(const struct jsondoc *doc, const char *key, int64_t otherwise)
{
    int64_t n;

    return jsondoc_i64(doc, key, &n) ? n : otherwise;
}

bool jsondoc_bool(const struct jsondoc *doc, const char *key)
{
    return json_is_true(node(jsondoc_get(doc, key)));
}

size_t jsondoc_len(const struct jsondoc *doc)
{
    return json_is_array(node(doc)) ? json_array_size(node(doc)) : json_object_size(node(doc));
}

const struct jsondoc *jsondoc_at(const struct jsondoc *doc, size_t i)
{
    return doc_of(json_array_get(node(doc), i));
}

bool jsondoc_each(const struct jsondoc *doc, void **cursor, struct str *ret_key,
                  const struct jsondoc **ret_value)
{
    *cursor = *cursor ? json_object_iter_next(node(doc), *cursor) : json_object_iter(node(doc));
    if (!*cursor)
        return false;
    *ret_key = str_from(json_object_iter_key(*cursor));
    *ret_value = doc_of(json_object_iter_value(*cursor));
    return true;
}

struct jsondoc *jsondoc_object(void)
{
    return doc_of(json_object());
}

struct jsondoc *jsondoc_array(void)
{
    return doc_of(json_array());
}

struct jsondoc *jsondoc_string(struct str s)
{
    return doc_of(json_stringn(s.at ? s.at : "", s.len));
}

struct jsondoc *jsondoc_integer(int64_t n)
{
    return doc_of(json_integer(n));
}

struct jsondoc *jsondoc_real(double n)
{
    return doc_of(json_real(n));
}

struct jsondoc *jsondoc_boolean(bool b)
{
    return doc_of(json_boolean(b));
}

struct jsondoc *jsondoc_null(void)
{
    return doc_of(json_null());
}

int jsondoc_set(struct jsondoc *doc, const char *key, struct jsondoc *child)
{
    if (!child)
        return -ERR_NOMEM;
    return json_object_set_new(node(doc), key, node(child)) == 0 ? 0 : -ERR_NOMEM;
}

int jsondoc_set_str(struct jsondoc *doc, const char *key, struct str s)
{
    if (!str_is_utf8(s) || (s.len && memchr(s.at, '\0', s.len)))
        return -ERR_INVALID;
    return jsondoc_set(doc, key, jsondoc_string(s));
}

int jsondoc_set_i64(struct jsondoc *doc, const char *key, int64_t n)
{
    return jsondoc_set(doc, key, jsondoc_integer(n));
}

int jsondoc_set_bool(struct jsondoc *doc, const char *key, bool b)
{
    return jsondoc_set(doc, key, doc_of(json_boolean(b)));
}

int jsondoc_append(struct jsondoc *doc, struct jsondoc *child)
{
    if (!child)
        return -ERR_NOMEM;
    return json_array_append_new(node(doc), node(child)) == 0 ? 0 : -ERR_NOMEM;
}

struct jsondoc *jsondoc_copy(const struct jsondoc *doc)
{
    return doc_of(json_deep_copy(node(doc)));
}

static int add_chunk(const char *bytes, size_t len, void *out)
{
    buf_add(out, bytes, len);
    return buf_error(out);
}

int jsondoc_render(const struct jsondoc *doc, struct buf *out)
{
    if (json_dump_callback(node(doc), add_chunk, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
        return buf_error(out) ? buf_error(out) : -ERR_NOMEM;
    return 0;
}
