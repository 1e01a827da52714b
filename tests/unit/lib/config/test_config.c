/* One file for all programs: what it sets, and what a mistake in it is told. */
#include "config/config.h"

#include <stdio.h>
#include <unistd.h>

#include "config/common.h"

#include "test.h"

struct numbers_section {
    struct str name;
    int64_t small, big;
    bool flag;
    struct config_strs list;
};

static const struct option_spec numbers_options[] = {
    OPTION("name", OPTION_STR, struct numbers_section, name, "none", "A name."),
    OPTION_RANGE("small_ms", struct numbers_section, small, "5", 1, 10, "A small number."),
    OPTION("big", OPTION_INT, struct numbers_section, big, "7000000000", "A big number."),
    OPTION("flag", OPTION_BOOL, struct numbers_section, flag, "true", "Yes or no."),
    OPTION("list", OPTION_STRS, struct numbers_section, list, "[ ]", "Words."),
    OPTIONS_END,
};

struct program {
    struct bus_section bus;
    struct config_groups destinations;
    struct numbers_section delivery;
};

static const struct config_section sections[] = {
    SECTION_BUS(struct program, bus),
    SECTION_DESTINATIONS(struct program, destinations),
    {"delivery", numbers_options, NULL, offsetof(struct program, delivery), "Numbers."},
    SECTIONS_END,
};

static char path[] = TEMPORARY("/tmp/test_config");
static struct program program;
static struct config *config;
static struct why why;

static int begin_all(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int end_all(void **state)
{
    (void)state;
    config_free(config);
    return unlink(path);
}

static int load(const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
    config_free(config);
    config = NULL;
    program = (struct program){0};
    why = (struct why){0};
    return config_load(path, sections, &program, &config, &why);
}

#define BUS "bus: { brokers = \"k:9092\"; };\n"

static void what_is_set_is_read_and_the_rest_has_its_default(void **state)
{
    (void)state;
    assert_ok(load(BUS "delivery: { small_ms = 10; list = [\"a\", \"b\"]; };"), why);
    assert_str_eq(program.bus.brokers, STR("k:9092"));
    assert_int_equal(program.delivery.small, 10);
    assert_true(program.delivery.big == 7000000000 && program.delivery.flag);
    assert_str_eq(program.delivery.name, STR("none"));
    assert_int_equal(program.delivery.list.count, 2);
    assert_str_eq(program.delivery.list.at[1], STR("b"));
    assert_ok(
        load(BUS "delivery: { big = 9000000000L; flag = false; list = (\"c\"); name = \"\"; };"),
        why);
    assert_true(program.delivery.big == 9000000000 && !program.delivery.flag);
    assert_int_equal(program.delivery.small, 5);
    assert_str_eq(program.delivery.name, STR(""));
    assert_ok(load(BUS), why); /* a section that is absent has its defaults */
    assert_int_equal(program.delivery.small, 5);
}

static void a_list_of_groups_is_read_row_by_row(void **state)
{
    const struct destination_section *rows;

    (void)state;
    assert_ok(load(BUS "destinations = ( { pattern = \"a-*\"; endpoint = \"http://x\"; "
                       "credentials_file = \"f\"; },\n"
                       "{ pattern = \"*\"; endpoint = \"http://y\"; credentials_file = \"g\"; "
                       "addressing = \"virtual\"; } );"),
              why);
    assert_int_equal(program.destinations.count, 2);
    rows = program.destinations.at;
    assert_str_eq(rows[0].pattern, STR("a-*"));
    assert_str_eq(rows[0].dialect, STR("s3"));
    assert_str_eq(rows[1].addressing, STR("virtual"));
    assert_ok(load(BUS "destinations = ( );"), why);
    assert_int_equal(program.destinations.count, 0);
}

static void other_programs_sections_are_left_alone(void **state)
{
    (void)state;
    assert_ok(load(BUS "api: { whatever = 1; }; normalizer = 7;"), why);
}

/* The sentence behind the path. */
static void must_refuse(const char *text, const char *sentence)
{
    if (load(text) != -ERR_CONFIG)
        fail_msg("taken: %s", text);
    assert_null(config);
    assert_true(str_starts(str_from(why.text), str_from(path)));
    if (strcmp(why.text + strlen(path), sentence) != 0)
        fail_msg("\"%s\", wanted \"%s\"", why.text + strlen(path), sentence);
}

static void a_mistake_is_told_with_its_line_and_what_to_change(void **state)
{
    (void)state;
    must_refuse(BUS "delivery: {\n  small_ms = 11;\n};", ":3: small_ms must be between 1 and 10");
    must_refuse(BUS "delivery: {\n  small_ms = 0;\n};", ":3: small_ms must be between 1 and 10");
    must_refuse(BUS "delivery: { small_ms = 5.0; };", ":2: small_ms must be a whole number");
    must_refuse(BUS "delivery: { small_ms = \"5\"; };", ":2: small_ms must be a whole number");
    must_refuse(BUS "delivery: { name = 5; };", ":2: name must be a string: \"…\"");
    must_refuse(BUS "delivery: { flag = 1; };", ":2: flag must be true or false");
    must_refuse(BUS "delivery: { list = \"a\"; };",
                ":2: list must be a list of strings: [\"…\", \"…\"]");
    must_refuse(BUS "delivery: { list = [1]; };",
                ":2: list must be a list of strings: [\"…\", \"…\"]");
    must_refuse(BUS "delivery = 5;", ":2: delivery must be a group: { … }");
    must_refuse(BUS "\n\ndestinations = { };",
                ":4: destinations must be a list of groups: ( { … }, { … } )");
    must_refuse(BUS "destinations = ( 5 );",
                ":2: destinations must be a list of groups: ( { … }, { … } )");
}

static void a_misspelled_setting_is_told_what_was_meant(void **state)
{
    (void)state;
    must_refuse(BUS "delivery: {\n  smal_ms = 5;\n};",
                ":3: smal_ms is no setting; did you mean small_ms?");
    must_refuse(BUS "delivery: { wholly_other = 5; };", ":2: wholly_other is no setting");
    must_refuse(BUS "delivry: { };", ":2: delivry is no setting; did you mean delivery?");
    must_refuse(BUS "destinations = ( { patern = \"*\"; } );",
                ":2: patern is no setting; did you mean pattern?");
}

static void what_is_required_is_asked_for(void **state)
{
    (void)state;
    must_refuse("", ": bus lacks the setting brokers: Kafka's bootstrap servers, host:port, "
                    "separated by commas.");
    must_refuse("bus: { };", ":1: bus lacks the setting brokers: Kafka's bootstrap servers, "
                             "host:port, separated by commas.");
    must_refuse(BUS "destinations = ( { pattern = \"*\"; } );",
                ":2: destinations lacks the setting endpoint: http(s)://HOST[:PORT] of the store; "
                "for files /FOLDER, in which a folder is a bucket.");
}

static void what_is_no_configuration_is_told_its_line(void **state)
{
    (void)state;
    must_refuse(BUS "delivery: {\n  small_ms = ;\n};", ":3: syntax error");
    assert_int_equal(config_load("/nonexistent/x.conf", sections, &program, &config, &why),
                     -ERR_CONFIG);
    assert_string_equal(why.text, "cannot read /nonexistent/x.conf: No such file or directory");
}

static void more_words_than_a_list_holds_are_refused(void **state)
{
    AUTO_BUF struct buf text = {0};

    (void)state;
    buf_init(&text, 10000);
    buf_add_str(&text, STR(BUS "delivery: { list = [\"w\""));
    for (int i = 1; i < CONFIG_STRS_MAX; i++)
        buf_add_str(&text, STR(",\"w\""));
    buf_add_str(&text, STR("]; };"));
    assert_ok(load(buf_cstr(&text)), why);
    assert_int_equal(program.delivery.list.count, CONFIG_STRS_MAX);
    text.len -= 5;
    buf_add_str(&text, STR(",\"w\"]; };"));
    must_refuse(buf_cstr(&text), ":2: list has too many entries");
}

static void the_description_names_every_setting_with_its_default(void **state)
{
    AUTO_BUF struct buf out = {0};

    (void)state;
    buf_init(&out, 100000);
    config_describe(sections, false, &out);
    assert_true(str_find(buf_str(&out), STR("small_ms"), NULL));
    assert_true(str_find(buf_str(&out), STR("A small number. (number; 5)"), NULL));
    assert_true(str_find(buf_str(&out), STR("(string; required)"), NULL));
    buf_reset(&out);
    config_describe(sections, true, &out);
    assert_true(
        str_find(buf_str(&out), STR("| `small_ms` | number | 5 | A small number. |"), NULL));
    assert_true(str_find(buf_str(&out), STR("### `destinations = ( { … }, … )`"), NULL));
}

static int read_key(const char *text, unsigned char ret[32])
{
    struct security_section security = {str_from(path)};
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
    return security_read_key(&security, ret, &why);
}

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"

static void the_master_key_is_64_hex_digits(void **state)
{
    unsigned char key[32];

    (void)state;
    assert_ok(read_key(HEX "\n", key), why);
    for (int i = 0; i < 32; i++)
        assert_int_equal(key[i], i);
    assert_int_equal(read_key(HEX "00", key), -ERR_CONFIG);
    assert_int_equal(read_key(HEX HEX, key), -ERR_CONFIG);
    assert_int_equal(read_key("", key), -ERR_CONFIG);
    assert_int_equal(read_key("g" HEX, key), -ERR_CONFIG);
    assert_non_null(strstr(why.text, "must hold 64 hex digits"));
    assert_int_equal(read_key(HEX "                     and more", key), -ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_set_is_read_and_the_rest_has_its_default),
        TEST(a_list_of_groups_is_read_row_by_row),
        TEST(other_programs_sections_are_left_alone),
        TEST(a_mistake_is_told_with_its_line_and_what_to_change),
        TEST(a_misspelled_setting_is_told_what_was_meant),
        TEST(what_is_required_is_asked_for),
        TEST(what_is_no_configuration_is_told_its_line),
        TEST(more_words_than_a_list_holds_are_refused),
        TEST(the_description_names_every_setting_with_its_default),
        TEST(the_master_key_is_64_hex_digits),
    };

    return cmocka_run_group_tests(tests, begin_all, end_all);
}
