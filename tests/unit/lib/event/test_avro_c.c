/* Our Avro against Apache's: avro-c reads and writes with schemas/ the bytes that we do.
 *
 * pkgs: avro-c
 */
#include <avro.h>
#include <stdio.h>

#include "event/event.h"
#include "event/raw_event.h"

#include "test.h"

#define HEADER_SIZE 10 /* AVRO_HEADER_SIZE, of a header whose names avro-c has, too */

static struct str read_schema(const char *name, char *room, size_t size)
{
    char path[512];
    FILE *file;
    size_t len;

    (void)snprintf(path, sizeof(path), "%s/%s", SCHEMAS, name);
    file = fopen(path, "r");
    assert_non_null(file);
    len = fread(room, 1, size, file);
    (void)fclose(file);
    assert_in_range(len, 1, size - 1);
    return str_of(room, len);
}

/* ---- fingerprints: CRC-64-AVRO of the parsing canonical form -------------------------------------- */

static struct json schema;

static void add_canonical(uint32_t value, struct str space, struct buf *out);

static void add_list(uint32_t list, struct str space, struct buf *out)
{
    buf_add_byte(out, '[');
    for (uint32_t i = list + 1; i < schema.tokens[list].next; i = schema.tokens[i].next) {
        if (i > list + 1)
            buf_add_byte(out, ',');
        add_canonical(i, space, out);
    }
    buf_add_byte(out, ']');
}

static struct str word(uint32_t object, const char *key)
{
    uint32_t value = json_member(&schema, object, str_from(key));

    return value && schema.tokens[value].type == JSON_STRING ? json_slice(&schema, value) : STR("");
}

/* Only these attributes, in this order; names in full but for those of fields. */
static void add_object(uint32_t object, struct str space, struct buf *out)
{
    static const char *const order[] = {"name", "type", "fields", "symbols", "items"};
    struct str type = word(object, "type"), name = word(object, "name");
    bool named = str_eq(type, STR("record")) || str_eq(type, STR("enum"));
    bool first = true;

    if (word(object, "namespace").len)
        space = word(object, "namespace");
    if (type.len && !name.len && !str_eq(type, STR("array"))) {
        buf_addf(out, "\"" STR_FMT "\"", STR_ARG(type)); /* a primitive with a logical type */
        return;
    }
    buf_add_byte(out, '{');
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        uint32_t value = json_member(&schema, object, str_from(order[i]));

        if (!value)
            continue;
        buf_addf(out, "%s\"%s\":", first ? "" : ",", order[i]);
        first = false;
        if (i == 0 && named)
            buf_addf(out, "\"" STR_FMT "." STR_FMT "\"", STR_ARG(space), STR_ARG(name));
        else
            add_canonical(value, space, out);
    }
    buf_add_byte(out, '}');
}

static void add_canonical(uint32_t value, struct str space, struct buf *out)
{
    if (schema.tokens[value].type == JSON_ARRAY)
        add_list(value, space, out);
    else if (schema.tokens[value].type == JSON_OBJECT)
        add_object(value, space, out);
    else
        buf_add_str(out, json_raw(&schema, value));
}

static uint64_t crc64_avro(struct str text)
{
    const uint64_t empty = 0xc15d213aa4d7a795;
    uint64_t crc = empty;

    for (size_t i = 0; i < text.len; i++) {
        crc ^= (unsigned char)text.at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? empty : 0);
    }
    return crc;
}

static void check_fingerprint(const char *name, struct str encoded)
{
    AUTO_BUF struct buf canonical = {0};
    static char room[65536];
    struct str text = read_schema(name, room, sizeof(room));
    uint64_t crc;

    json_init(&schema);
    assert_int_equal(json_scan(&schema, text, NULL), 0);
    buf_init(&canonical, 65536);
    add_canonical(0, STR(""), &canonical);
    crc = crc64_avro(buf_str(&canonical));
    for (size_t i = 0; i < 8; i++)
        assert_int_equal((unsigned char)encoded.at[2 + i], crc >> 8 * i & 0xFF);
    json_done(&schema);
}

/* ---- values ----------------------------------------------------------------------------------------- */

/* Reads a datum with avro-c, and has it written again: the bytes must be ours. */
static void read_by_avro_c(const char *name, struct str encoded, avro_value_t *ret)
{
    static char room[65536], again[65536];
    struct str text = read_schema(name, room, sizeof(room));
    const char *datum = encoded.at + HEADER_SIZE;
    size_t len = encoded.len - HEADER_SIZE;
    avro_schema_t parsed;
    avro_value_iface_t *class;
    avro_reader_t reader;
    avro_writer_t writer;

    assert_int_equal(avro_schema_from_json_length(text.at, text.len, &parsed), 0);
    class = avro_generic_class_from_schema(parsed);
    assert_non_null(class);
    assert_int_equal(avro_generic_value_new(class, ret), 0);
    reader = avro_reader_memory(datum, (int64_t)len);
    if (avro_value_read(reader, ret) != 0)
        fail_msg("avro-c: %s", avro_strerror());
    writer = avro_writer_memory(again, sizeof(again));
    assert_int_equal(avro_value_write(writer, ret), 0);
    assert_int_equal(avro_writer_tell(writer), len);
    assert_memory_equal(again, datum, len);
    avro_writer_free(writer);
    avro_reader_free(reader);
    avro_value_iface_decref(class);
    avro_schema_decref(parsed);
}

static struct str text_of(const avro_value_t *value)
{
    const char *text = NULL;
    size_t len = 0;

    assert_int_equal(avro_value_get_string(value, &text, &len), 0);
    return str_of(text, len - 1); /* it counts the NUL */
}

static struct str text_in(const avro_value_t *record, const char *name)
{
    avro_value_t field, branch;

    assert_int_equal(avro_value_get_by_name(record, name, &field, NULL), 0);
    if (avro_value_get_type(&field) != AVRO_UNION)
        return text_of(&field);
    assert_int_equal(avro_value_get_current_branch(&field, &branch), 0);
    return avro_value_get_type(&branch) == AVRO_NULL ? STR_NONE : text_of(&branch);
}

static int64_t long_in(const avro_value_t *record, const char *name)
{
    avro_value_t field;
    int64_t n = 0;

    assert_int_equal(avro_value_get_by_name(record, name, &field, NULL), 0);
    assert_int_equal(avro_value_get_long(&field, &n), 0);
    return n;
}

static void an_event_s_fields_are_where_the_schema_says(void **state)
{
    struct event e = {
        .id = STR("id"),
        .account = STR("account"),
        .region = STR("region"),
        .category = EVENT_INNER,
        .rw = EVENT_READ,
        .global = true,
        .purpose = 3,
        .time_ms = 1790000000000,
        .received_ms = -1,
        .service = STR("service"),
        .name = STR("name"),
        .type = STR("type"),
        .user = STR("user"),
        .principal = STR("principal"),
        .role = STR("role"),
        .access_key = STR("accessKey"),
        .source_ip = STR("sourceIp"),
        .origin = {STR("topic"), STR("generation"), 1023, INT64_MAX},
        .resources = {{STR("t1"), STR("n1")}, {STR("t2"), STR("n2")}},
        .resource_count = 2,
        .document = STR("{\"a\":\"\xF0\x9F\x98\x80\"}"),
    };
    static const char *const same[] = {"id",   "account",   "region",  "service",
                                       "name", "type",      "user",    "principal",
                                       "role", "accessKey", "sourceIp"};
    AUTO_BUF struct buf bytes = {0};
    avro_value_t value, field, item;
    int number, flag;
    size_t count;

    (void)state;
    buf_init(&bytes, 10000);
    assert_int_equal(event_encode(&e, &bytes), 0);
    check_fingerprint("event.avsc", buf_str(&bytes));
    read_by_avro_c("event.avsc", buf_str(&bytes), &value);
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        assert_str_eq(text_in(&value, same[i]), str_from(same[i]));
    assert_str_eq(text_in(&value, "document"), e.document);
    assert_true(long_in(&value, "time") == e.time_ms && long_in(&value, "received") == -1);
    avro_value_get_by_name(&value, "category", &field, NULL);
    assert_true(avro_value_get_enum(&field, &number) == 0 && number == EVENT_INNER);
    avro_value_get_by_name(&value, "rw", &field, NULL);
    assert_true(avro_value_get_enum(&field, &number) == 0 && number == EVENT_READ);
    avro_value_get_by_name(&value, "global", &field, NULL);
    assert_true(avro_value_get_boolean(&field, &flag) == 0 && flag);
    avro_value_get_by_name(&value, "origin", &field, NULL);
    assert_str_eq(text_in(&field, "generation"), STR("generation"));
    assert_true(long_in(&field, "offset") == INT64_MAX);
    avro_value_get_by_name(&value, "resources", &field, NULL);
    assert_true(avro_value_get_size(&field, &count) == 0 && count == 2);
    avro_value_get_by_index(&field, 1, &item, NULL);
    assert_str_eq(text_in(&item, "name"), STR("n2"));
    avro_value_decref(&value);
}

static void the_enums_have_the_schema_s_symbols_in_our_order(void **state)
{
    static char room[65536];
    struct str text = read_schema("event.avsc", room, sizeof(room));

    (void)state;
    assert_true(str_find(text, STR("\"symbols\": [\"MANAGEMENT\", \"INSIGHT\", \"INNER\"]"), NULL));
    assert_true(str_find(text, STR("\"symbols\": [\"WRITE\", \"READ\"]"), NULL));
    assert_int_equal(EVENT_MANAGEMENT, 0);
    assert_int_equal(EVENT_WRITE, 0);
}

static void a_raw_event_s_fields_are_where_the_schema_says(void **state)
{
    static const char *const same[] = {
        "eventId",           "eventVersion", "eventCategory",        "eventType",    "eventName",
        "eventRW",           "eventTime",    "eventSource",          "serviceName",  "acsRegion",
        "apiVersion",        "requestId",    "requestParameterJson", "resourceType", "resourceName",
        "errorCode",         "errorMessage", "sourceIpAddress",      "userAgent",    "vpcId",
        "recipientAccountId"};
    static const char *const identity[] = {"type", "principalId", "accountId", "accessKeyId",
                                           "userName"};
    AUTO_BUF struct buf text = {0}, bytes = {0};
    struct json json;
    avro_value_t value, field, branch;

    (void)state;
    buf_init(&text, 10000);
    buf_init(&bytes, 10000);
    json_init(&json);
    buf_add_byte(&text, '{');
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        buf_addf(&text, "\"%s\":\"%s\",", same[i], same[i]);
    buf_add_str(
        &text,
        STR("\"requestParameters\":{\"a\":1},\"isGlobal\":true,\"more\":[2],\"userIdentity\":{"));
    for (size_t i = 0; i < ARRAY_LEN(identity); i++)
        buf_addf(&text, "\"%s\":\"%s\",", identity[i], identity[i]);
    buf_add_str(&text, STR("\"sessionContext\":{},\"more\":3}}"));
    assert_int_equal(json_scan(&json, buf_str(&text), NULL), 0);
    assert_int_equal(raw_event_encode(&json, &bytes, NULL), 0);
    check_fingerprint("raw_event.avsc", buf_str(&bytes));
    read_by_avro_c("raw_event.avsc", buf_str(&bytes), &value);
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        assert_str_eq(text_in(&value, same[i]), str_from(same[i]));
    assert_str_eq(text_in(&value, "requestParameters"), STR("{\"a\":1}"));
    assert_null(text_in(&value, "responseElements").at);
    assert_str_eq(text_in(&value, "extension"), STR("{\"more\":[2]}"));
    avro_value_get_by_name(&value, "userIdentity", &field, NULL);
    assert_int_equal(avro_value_get_current_branch(&field, &branch), 0);
    for (size_t i = 0; i < ARRAY_LEN(identity); i++)
        assert_str_eq(text_in(&branch, identity[i]), str_from(identity[i]));
    assert_str_eq(text_in(&branch, "sessionContext"), STR("{}"));
    assert_str_eq(text_in(&branch, "extension"), STR("{\"more\":3}"));
    avro_value_decref(&value);
    json_done(&json);
}

TESTS(TEST(an_event_s_fields_are_where_the_schema_says),
      TEST(the_enums_have_the_schema_s_symbols_in_our_order),
      TEST(a_raw_event_s_fields_are_where_the_schema_says))
