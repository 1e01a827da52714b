/* The words of base.h: slices, buffers, arenas, calendar. */
#include "test.h"

static void a_split_gives_every_part_also_the_empty_ones(void **state)
{
    struct str rest = STR("a,,b,"), part;

    (void)state;
    assert_true(str_split(&rest, ',', &part));
    assert_str_eq(part, STR("a"));
    assert_true(str_split(&rest, ',', &part));
    assert_str_eq(part, STR(""));
    assert_true(str_split(&rest, ',', &part));
    assert_str_eq(part, STR("b"));
    assert_true(str_split(&rest, ',', &part));
    assert_str_eq(part, STR(""));
    assert_false(str_split(&rest, ',', &part));
}

static void a_number_out_of_range_is_refused(void **state)
{
    int64_t n;
    uint64_t u;

    (void)state;
    assert_true(str_to_i64(STR("-9223372036854775808"), &n));
    assert_true(n == INT64_MIN);
    assert_false(str_to_i64(STR("9223372036854775808"), &n));
    assert_true(str_to_u64(STR("18446744073709551615"), &u));
    assert_false(str_to_u64(STR("18446744073709551616"), &u));
    assert_false(str_to_u64(STR(""), &u));
    assert_false(str_to_u64(STR("1 "), &u));
}

static void a_number_is_written_as_it_is_read(void **state)
{
    char text[NUMBER_TEXT_SIZE];

    (void)state;
    assert_str_eq(str_of_i64(0, text), STR("0"));
    assert_str_eq(str_of_i64(INT64_MAX, text), STR("9223372036854775807"));
    assert_str_eq(str_of_i64(INT64_MIN, text), STR("-9223372036854775808"));
}

static void malformed_utf8_is_seen(void **state)
{
    static const char *const bad[] = {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "abc\xE2\x82",
                                      "\x80",     "12345678\xFF", "\xE0\x9F\xBF"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(str_is_utf8(str_from(bad[i])));
    assert_true(str_is_utf8(STR("gr\xC3\xBC\xC3\x9F \xE5\x90\x8D \xF0\x9F\x98\x80 plain text")));
}

static void a_buffer_stops_at_its_maximum_and_keeps_what_it_has(void **state)
{
    AUTO_BUF struct buf b = {0};

    (void)state;
    buf_init(&b, 10);
    buf_add_str(&b, STR("12345678"));
    buf_add_str(&b, STR("abc"));
    assert_int_equal(buf_error(&b), -ERR_LIMIT);
    assert_str_eq(buf_str(&b), STR("12345678"));
    buf_reset(&b);
    buf_add_str(&b, STR("1234567890"));
    assert_int_equal(buf_error(&b), 0);
    assert_string_equal(buf_cstr(&b), "1234567890");
}

static void base64_comes_back(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        AUTO_BUF struct buf text = {0}, bytes = {0};

        buf_init(&text, 100);
        buf_init(&bytes, 100);
        buf_add_base64(&text, pairs[i][0], strlen(pairs[i][0]));
        assert_str_eq(buf_str(&text), str_from(pairs[i][1]));
        assert_int_equal(buf_add_base64_decoded(&bytes, buf_str(&text)), 0);
        assert_str_eq(buf_str(&bytes), str_from(pairs[i][0]));
    }
}

static void base64_with_two_spellings_is_refused(void **state)
{
    AUTO_BUF struct buf bytes = {0};

    (void)state;
    buf_init(&bytes, 100);
    assert_int_equal(buf_add_base64_decoded(&bytes, STR("Zh==")), -ERR_INVALID);
    assert_int_equal(buf_add_base64_decoded(&bytes, STR("Z")), -ERR_INVALID);
    assert_int_equal(buf_add_base64_decoded(&bytes, STR("Zm 9v")), -ERR_INVALID);
}

static void an_arena_gives_no_more_than_its_maximum(void **state)
{
    AUTO(arena_free) struct arena *arena = arena_new(200000);

    (void)state;
    assert_non_null(arena);
    assert_non_null(arena_get(arena, 100000));
    assert_null(arena_get(arena, 100000));
    arena_reset(arena);
    assert_str_eq(arena_printf(arena, "%s-%d", "a", 7), STR("a-7"));
}

static void times_come_back_and_impossible_ones_are_refused(void **state)
{
    static const char *const bad[] = {"2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
                                      "2026-01-01 00:00:00Z", "2026-01-01T24:00:00Z",
                                      "2026-01-01T00:00:00",  "2026-1-01T00:00:00Z1"};
    char text[TIME_TEXT_SIZE];
    int64_t s;

    (void)state;
    for (int64_t t = -62167219200; t < 253402300799; t += 86400 * 13 + 3607) {
        time_format(t, text);
        assert_true(time_parse(str_from(text), &s));
        assert_true(s == t);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(time_parse(str_from(bad[i]), &s));
    assert_true(time_parse(STR("1970-01-01T00:00:01Z"), &s) && s == 1);
    assert_true(time_parse_lenient(STR("1970-01-01T00:00:01.999Z"), &s) && s == 1);
    assert_false(time_parse_lenient(STR("1970-01-01T00:00:01.Z"), &s));
}

static void every_error_has_a_name_and_a_class(void **state)
{
    (void)state;
    for (int e = ERR_UNAVAILABLE; e <= ERR_BUG; e++) {
        assert_string_not_equal(err_name(-e), "unknown");
        assert_int_not_equal(err_class(-e), ERR_CLASS_NONE);
    }
    assert_int_equal(err_class(-1000), ERR_CLASS_FATAL);
}

TESTS(TEST(a_split_gives_every_part_also_the_empty_ones), TEST(a_number_out_of_range_is_refused),
      TEST(a_number_is_written_as_it_is_read), TEST(malformed_utf8_is_seen),
      TEST(a_buffer_stops_at_its_maximum_and_keeps_what_it_has), TEST(base64_comes_back),
      TEST(base64_with_two_spellings_is_refused), TEST(an_arena_gives_no_more_than_its_maximum),
      TEST(times_come_back_and_impossible_ones_are_refused),
      TEST(every_error_has_a_name_and_a_class))
