/* What a delivered object holds: verified, and document by document, byte for byte. */
#include "cli/contents.h"

#include "gzip/gzip.h"

#include "test.h"

static const char *const array =
    "[{\"a\":1},\n{\"b\":\"}],\\\"{\",\"c\":[{},{\"d\":[]}]},\n{\"e\":\"\\\\\"}]\n";

static struct object_meta meta_of(struct str plain, int64_t count)
{
    return (struct object_meta){.count = count, .sha256 = sha256_of(plain)};
}

static void pack(struct str plain, struct buf *out)
{
    AUTO(gzip_free) struct gzip *gzip = gzip_new();

    buf_init(out, 1 << 20);
    assert_int_equal(gzip_pack(gzip, plain, out), 0);
}

static int open_as(struct str plain, const struct object_meta *meta, struct buf *ret,
                   struct why *why)
{
    AUTO_BUF struct buf packed = {0};

    pack(plain, &packed);
    buf_init(ret, 1 << 20);
    return contents_open(buf_str(&packed), meta, ret, why);
}

static void documents_come_out_byte_for_byte(void **state)
{
    struct object_meta meta = meta_of(str_from(array), 3);
    AUTO_BUF struct buf plain = {0};
    struct str rest, document;
    struct why why = {0};

    (void)state;
    assert_ok(open_as(str_from(array), &meta, &plain, &why), why);
    rest = buf_str(&plain);
    assert_true(contents_next(&rest, &document));
    assert_str_eq(document, STR("{\"a\":1}"));
    assert_true(contents_next(&rest, &document));
    assert_str_eq(document, STR("{\"b\":\"}],\\\"{\",\"c\":[{},{\"d\":[]}]}"));
    assert_true(contents_next(&rest, &document));
    assert_str_eq(document, STR("{\"e\":\"\\\\\"}"));
    assert_false(contents_next(&rest, &document));
}

static void a_changed_byte_is_refused(void **state)
{
    struct object_meta meta = meta_of(STR("[{\"a\":2}]\n"), 1);
    AUTO_BUF struct buf plain = {0};
    struct why why = {0};

    (void)state;
    assert_int_equal(open_as(STR("[{\"a\":1}]\n"), &meta, &plain, &why), -ERR_INVALID);
    assert_non_null(strstr(why.text, "other bytes"));
}

static void another_count_is_refused(void **state)
{
    struct object_meta meta = meta_of(str_from(array), 4);
    AUTO_BUF struct buf plain = {0};
    struct why why = {0};

    (void)state;
    assert_int_equal(open_as(str_from(array), &meta, &plain, &why), -ERR_INVALID);
}

static void what_is_no_gzip_is_refused(void **state)
{
    struct object_meta meta = meta_of(str_from(array), 3);
    AUTO_BUF struct buf plain = {0};
    struct why why = {0};

    (void)state;
    buf_init(&plain, 1 << 20);
    assert_int_equal(contents_open(str_from(array), &meta, &plain, &why), -ERR_INVALID);
}

static void more_than_there_is_room_for_is_refused(void **state)
{
    struct object_meta meta = meta_of(str_from(array), 3);
    AUTO_BUF struct buf plain = {0}, packed = {0};
    struct why why = {0};

    (void)state;
    pack(str_from(array), &packed);
    buf_init(&plain, 8);
    assert_int_equal(contents_open(buf_str(&packed), &meta, &plain, &why), -ERR_LIMIT);
}

/* Never met, since the digest holds before; but nothing may be read behind the end. */
static void a_cut_text_ends(void **state)
{
    (void)state;
    for (size_t len = 0; len <= strlen(array); len++) {
        struct str rest = str_of(array, len), document;

        while (contents_next(&rest, &document))
            assert_true(document.len > 0);
    }
}

TESTS(TEST(documents_come_out_byte_for_byte), TEST(a_changed_byte_is_refused),
      TEST(another_count_is_refused), TEST(what_is_no_gzip_is_refused),
      TEST(more_than_there_is_room_for_is_refused), TEST(a_cut_text_ends))
