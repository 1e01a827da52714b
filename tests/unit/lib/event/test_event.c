/* The wire form of a normalized event. */
#include "event/event.h"

#include <stdio.h>

#include "event/avro.h"

#include "test.h"

static struct event sample(void)
{
    struct event e = {
        .id = STR("6EEC3A76-0B1C-4D2E-8F3A-0123456789AB"),
        .account = STR("1001"),
        .region = STR("cn-hangzhou"),
        .category = EVENT_INSIGHT,
        .rw = EVENT_READ,
        .global = true,
        .sensitive = true,
        .purpose = EVENT_FOR_HISTORY,
        .time_ms = 1790000000000,
        .received_ms = 1790000000123,
        .service = STR("Ecs"),
        .name = STR("StopInstance"),
        .type = STR("ApiCall"),
        .user = STR("gr\xC3\xBC\xC3\x9F"),
        .principal = STR("123:alice"),
        .role = STR("admin"),
        .access_key = STR("LTAI1"),
        .source_ip = STR("Internal"),
        .origin = {STR("raw.cn-hangzhou"), STR("G1"), 7, 1LL << 40},
        .resources = {{STR("ACS::ECS::Instance"), STR("i-1")}, {STR("T"), STR("")}},
        .resource_count = 2,
        .document = STR("{\"eventId\":\"x\"}"),
    };

    return e;
}

static void assert_event_eq(const struct event *got, const struct event *want)
{
    assert_str_eq(got->id, want->id);
    assert_str_eq(got->account, want->account);
    assert_str_eq(got->region, want->region);
    assert_int_equal(got->category, want->category);
    assert_int_equal(got->rw, want->rw);
    assert_int_equal(got->global, want->global);
    assert_int_equal(got->sensitive, want->sensitive);
    assert_int_equal(got->purpose, want->purpose);
    assert_true(got->time_ms == want->time_ms && got->received_ms == want->received_ms);
    assert_str_eq(got->service, want->service);
    assert_str_eq(got->name, want->name);
    assert_str_eq(got->type, want->type);
    assert_str_eq(got->user, want->user);
    assert_str_eq(got->principal, want->principal);
    assert_str_eq(got->role, want->role);
    assert_str_eq(got->access_key, want->access_key);
    assert_str_eq(got->source_ip, want->source_ip);
    assert_str_eq(got->origin.topic, want->origin.topic);
    assert_str_eq(got->origin.generation, want->origin.generation);
    assert_int_equal(got->origin.partition, want->origin.partition);
    assert_true(got->origin.offset == want->origin.offset);
    assert_int_equal(got->resource_count, want->resource_count);
    for (size_t i = 0; i < want->resource_count; i++) {
        assert_str_eq(got->resources[i].type, want->resources[i].type);
        assert_str_eq(got->resources[i].name, want->resources[i].name);
    }
    assert_str_eq(got->document, want->document);
}

static void check_round_trip(const struct event *e)
{
    static struct event got;
    AUTO_BUF struct buf bytes = {0};
    struct why why = {0};

    buf_init(&bytes, EVENT_ENCODED_SIZE_MAX);
    assert_int_equal(event_encode(e, &bytes), 0);
    assert_ok(event_decode(buf_str(&bytes), &got, &why), why);
    assert_event_eq(&got, e);
}

static void an_event_comes_back_field_by_field(void **state)
{
    struct event e = sample();

    (void)state;
    check_round_trip(&e);
    e = (struct event){.document = STR("{}")};
    check_round_trip(&e);
}

static void numbers_of_any_size_come_back(void **state)
{
    static const int64_t numbers[] = {0,
                                      -1,
                                      1,
                                      63,
                                      64,
                                      -64,
                                      -65,
                                      INT32_MAX,
                                      INT32_MIN,
                                      INT64_MAX,
                                      INT64_MIN,
                                      1LL << 62,
                                      0x7F7F7F7F7F7F7F7F};
    struct event e = sample();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        e.time_ms = e.received_ms = e.origin.offset = numbers[i];
        e.origin.partition = (int32_t)(numbers[i] & INT32_MAX);
        check_round_trip(&e);
    }
}

static void as_many_resources_as_are_indexed_come_back(void **state)
{
    struct event e = sample();
    char names[EVENT_RESOURCES_MAX][8];

    (void)state;
    for (size_t i = 0; i < EVENT_RESOURCES_MAX; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "i-%zu", i);
        e.resources[i] = (struct event_resource){STR("T"), str_from(names[i])};
        e.resource_count = i + 1;
        check_round_trip(&e);
    }
}

static void an_event_too_large_for_its_topic_is_a_limit(void **state)
{
    AUTO_BUF struct buf document = {0}, bytes = {0};
    struct event e = sample();
    char region[EVENT_REGION_SIZE_MAX + 1];
    size_t room;

    (void)state;
    buf_init(&document, EVENT_ENCODED_SIZE_MAX);
    buf_init(&bytes, (size_t)2 * EVENT_ENCODED_SIZE_MAX);
    assert_int_equal(event_encode(&e, &bytes), 0);
    room = EVENT_ENCODED_SIZE_MAX - bytes.len + e.document.len -
           2 /* its length takes 3 bytes, not 1 */ - (EVENT_REGION_SIZE_MAX - e.region.len);
    assert_non_null(buf_reserve(&document, room + 1));
    memset(document.at, ' ', room + 1);
    e.document = str_of(document.at, room);
    buf_reset(&bytes);
    assert_int_equal(event_encode(&e, &bytes), 0);
    assert_int_equal(bytes.len, EVENT_ENCODED_SIZE_MAX - (EVENT_REGION_SIZE_MAX - e.region.len));
    e.document.len++;
    buf_reset(&bytes);
    assert_int_equal(event_encode(&e, &bytes), -ERR_LIMIT);

    /* A copy for another region is as good as the event itself. */
    e.document.len--;
    memset(region, 'r', sizeof(region));
    e.region = str_of(region, EVENT_REGION_SIZE_MAX);
    buf_reset(&bytes);
    assert_int_equal(event_encode(&e, &bytes), 0);
    assert_int_equal(bytes.len, EVENT_ENCODED_SIZE_MAX);
    e.region.len++;
    e.document.len--;
    buf_reset(&bytes);
    assert_int_equal(event_encode(&e, &bytes), -ERR_LIMIT);
}

/* The bytes at the end of memory of their own, so that a sanitizer sees a read beyond. */
static int decode_copy(struct str bytes)
{
    static struct event got;
    struct why why = {0};
    char *copy = malloc(bytes.len ? bytes.len : 1);
    int r;

    assert_non_null(copy);
    memcpy(copy, bytes.at, bytes.len);
    r = event_decode(str_of(copy, bytes.len), &got, &why);
    if (r < 0)
        assert_true(strlen(why.text) > 0);
    free(copy);
    return r;
}

static void every_truncation_is_invalid_and_so_is_a_byte_too_many(void **state)
{
    AUTO_BUF struct buf bytes = {0};
    struct event e = sample();

    (void)state;
    buf_init(&bytes, EVENT_ENCODED_SIZE_MAX);
    assert_int_equal(event_encode(&e, &bytes), 0);
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(decode_copy(str_of(bytes.at, len)), -ERR_INVALID);
    assert_int_equal(decode_copy(buf_str(&bytes)), 0);
    buf_add_byte(&bytes, 0);
    assert_int_equal(decode_copy(buf_str(&bytes)), -ERR_INVALID);
}

static void changed_bytes_are_invalid_or_another_event_but_never_a_crash(void **state)
{
    AUTO_BUF struct buf bytes = {0};
    struct event e = sample();

    (void)state;
    buf_init(&bytes, EVENT_ENCODED_SIZE_MAX);
    assert_int_equal(event_encode(&e, &bytes), 0);
    for (size_t i = 0; i < bytes.len; i++) {
        char was = bytes.at[i];

        for (int bit = 0; bit < 8; bit++) {
            bytes.at[i] = (char)(was ^ 1 << bit);
            int r = decode_copy(buf_str(&bytes));
            assert_true(r == -ERR_INVALID || (r == 0 && i >= AVRO_HEADER_SIZE));
        }
        bytes.at[i] = was;
    }
}

/* Everything before the resources, whose encoding the caller goes on with. */
static void begin_event(struct buf *out)
{
    struct event e = sample();

    e.resource_count = 0;
    e.document = STR("");
    assert_int_equal(event_encode(&e, out), 0);
    out->len -= 2; /* the array's end and the empty document */
}

static void add_resources(struct buf *out, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        avro_add_string(out, STR("T"));
        avro_add_string(out, STR("n"));
    }
}

static int decode_with_resources(int64_t first, int64_t second, bool sized, struct event *ret)
{
    static struct buf bytes; /* what was decoded lies in it */
    struct why why;

    buf_done(&bytes);
    buf_init(&bytes, 4096);
    begin_event(&bytes);
    avro_add_long(&bytes, sized ? -first : first);
    if (sized)
        avro_add_long(&bytes, first * 4);
    add_resources(&bytes, MIN_OF(first, (int64_t)100));
    if (second) {
        avro_add_long(&bytes, second);
        add_resources(&bytes, second);
    }
    avro_add_long(&bytes, 0);
    avro_add_string(&bytes, STR("{}"));
    return event_decode(buf_str(&bytes), ret, &why);
}

static void an_array_may_come_in_blocks_with_or_without_their_size(void **state)
{
    static struct event e;

    (void)state;
    assert_int_equal(decode_with_resources(3, 2, false, &e), 0);
    assert_int_equal(e.resource_count, 5);
    assert_int_equal(decode_with_resources(3, 2, true, &e), 0);
    assert_int_equal(e.resource_count, 5);
    assert_str_eq(e.resources[4].name, STR("n"));
    assert_str_eq(e.document, STR("{}"));
    assert_int_equal(decode_with_resources(60, 4, false, &e), 0);
    assert_int_equal(decode_with_resources(60, 5, false, &e), -ERR_INVALID);
    assert_int_equal(decode_with_resources(INT64_MAX, 0, false, &e), -ERR_INVALID);
    assert_int_equal(decode_with_resources(INT64_MAX / 4, 0, true, &e), -ERR_INVALID);
}

static void a_varint_ends_within_ten_bytes_and_64_bits(void **state)
{
    static const struct {
        struct str bytes;
        bool bad;
        int64_t value;
    } cases[] = {
        {STR("\x00"), false, 0},
        {STR("\x01"), false, -1},
        {STR("\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), false, INT64_MAX},
        {STR("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), false, INT64_MIN},
        {STR("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02"), true, 0},
        {STR("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), true, 0},
        {STR("\x80"), true, 0},
        {STR(""), true, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const unsigned char *at = (const unsigned char *)cases[i].bytes.at;
        struct avro_in in = {at, at + cases[i].bytes.len, false};

        assert_true(avro_long(&in) == cases[i].value);
        assert_int_equal(in.bad, cases[i].bad);
    }
}

static void a_string_of_impossible_length_is_bad(void **state)
{
    static const int64_t lengths[] = {-1, 4, INT64_MAX, INT64_MIN};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        AUTO_BUF struct buf bytes = {0};
        struct avro_in in;

        buf_init(&bytes, 100);
        avro_add_long(&bytes, lengths[i]);
        buf_add_str(&bytes, STR("abc"));
        in = (struct avro_in){(const unsigned char *)bytes.at,
                              (const unsigned char *)bytes.at + bytes.len, false};
        assert_str_eq(avro_string(&in), STR(""));
        assert_true(in.bad);
    }
}

TESTS(TEST(an_event_comes_back_field_by_field), TEST(numbers_of_any_size_come_back),
      TEST(as_many_resources_as_are_indexed_come_back),
      TEST(an_event_too_large_for_its_topic_is_a_limit),
      TEST(every_truncation_is_invalid_and_so_is_a_byte_too_many),
      TEST(changed_bytes_are_invalid_or_another_event_but_never_a_crash),
      TEST(an_array_may_come_in_blocks_with_or_without_their_size),
      TEST(a_varint_ends_within_ten_bytes_and_64_bits), TEST(a_string_of_impossible_length_is_bad))
