/* One member in, one member out; anything else is refused. */
#include "gzip/gzip.h"

#include "test.h"

static void pack(struct str plain, struct buf *out)
{
    AUTO(gzip_free) struct gzip *gzip = gzip_new();

    assert_non_null(gzip);
    assert_int_equal(gzip_pack(gzip, plain, out), 0);
}

static void what_is_packed_comes_back(void **state)
{
    static const size_t sizes[] = {0, 1, 100, 4096, 100000, 3000000};
    struct draws draws = draws_begin();
    AUTO_BUF struct buf plain = {0}, packed = {0}, again = {0};

    (void)state;
    buf_init(&plain, 4 << 20);
    buf_init(&packed, 4 << 20);
    buf_init(&again, 4 << 20);
    for (size_t i = 0; i < ARRAY_LEN(sizes) * 2; i++) {
        buf_reset(&plain);
        buf_reset(&packed);
        buf_reset(&again);
        for (size_t k = 0; k < sizes[i / 2]; k++) /* repetitive, or not at all */
            buf_add_byte(&plain, i % 2 ? (char)draws_next(&draws, 256) : (char)(k % 7));
        pack(buf_str(&plain), &packed);
        buf_add_str(&again, STR("kept"));
        assert_int_equal(gzip_unpack(buf_str(&packed), &again), 0);
        assert_str_eq(str_of(again.at, 4), STR("kept"));
        assert_true(str_eq(str_of(again.at + 4, again.len - 4), buf_str(&plain)));
    }
}

static void the_same_text_gives_the_same_bytes(void **state)
{
    AUTO_BUF struct buf one = {0}, two = {0};

    (void)state;
    buf_init(&one, 1000);
    buf_init(&two, 1000);
    pack(STR("[{\"eventId\":\"1\"}]"), &one);
    pack(STR("[{\"eventId\":\"1\"}]"), &two);
    assert_str_eq(buf_str(&one), buf_str(&two));
    assert_memory_equal(one.at, "\x1F\x8B\x08", 3);
    assert_memory_equal(one.at + 4, "\0\0\0\0", 4); /* no time in it */
}

static void a_member_fits_exactly_or_is_a_limit(void **state)
{
    AUTO_BUF struct buf packed = {0}, exact = {0}, small = {0};

    (void)state;
    buf_init(&packed, 1000);
    pack(STR("0123456789"), &packed);
    buf_init(&exact, 10);
    assert_int_equal(gzip_unpack(buf_str(&packed), &exact), 0);
    assert_str_eq(buf_str(&exact), STR("0123456789"));
    buf_init(&small, 9);
    assert_int_equal(gzip_unpack(buf_str(&packed), &small), -ERR_LIMIT);
    assert_int_equal(small.len, 0);
}

static void a_small_member_that_unpacks_to_much_is_bounded(void **state)
{
    AUTO_BUF struct buf plain = {0}, packed = {0}, out = {0};

    (void)state;
    buf_init(&plain, 20 << 20);
    buf_init(&packed, 21 << 20);
    assert_non_null(buf_reserve(&plain, 20 << 20));
    memset(plain.at, 0, 20 << 20);
    pack(str_of(plain.at, 20 << 20), &packed);
    assert_true(packed.len < 100000);
    buf_init(&out, 20 << 20);
    assert_int_equal(gzip_unpack(buf_str(&packed), &out), 0);
    assert_int_equal(out.len, 20 << 20);
    buf_done(&out);
    buf_init(&out, (20 << 20) - 1);
    assert_int_equal(gzip_unpack(buf_str(&packed), &out), -ERR_LIMIT);
}

static void bytes_that_are_no_whole_member_are_invalid(void **state)
{
    AUTO_BUF struct buf packed = {0}, out = {0};

    (void)state;
    buf_init(&packed, 1000);
    buf_init(&out, 1000);
    pack(STR("0123456789 0123456789"), &packed);
    for (size_t len = 0; len < packed.len; len++)
        assert_int_equal(gzip_unpack(str_of(packed.at, len), &out), -ERR_INVALID);
    packed.at[packed.len - 5] ^= 1; /* its CRC */
    assert_int_equal(gzip_unpack(buf_str(&packed), &out), -ERR_INVALID);
    packed.at[packed.len - 5] ^= 1;
    pack(STR("another"), &packed);
    assert_int_equal(gzip_unpack(buf_str(&packed), &out), -ERR_INVALID);
    assert_int_equal(gzip_unpack(STR("not gzip at all, whatever it is"), &out), -ERR_INVALID);
    assert_int_equal(out.len, 0);
}

TESTS(TEST(what_is_packed_comes_back), TEST(the_same_text_gives_the_same_bytes),
      TEST(a_member_fits_exactly_or_is_a_limit),
      TEST(a_small_member_that_unpacks_to_much_is_bounded),
      TEST(bytes_that_are_no_whole_member_are_invalid))
