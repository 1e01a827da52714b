/* test_store_error.c - what stores answer, and what that means for an object. */
#include <stdio.h>

#include "objects/store_error.h"
#include "test.h"

static struct store_error error_of(int status, const char *body)
{
    struct http_answer answer = {.status = status, .body = str_from(body)};
    struct store_error error;

    assert_true(store_error_read(&answer, &error));
    return error;
}

#define CODE(code) "<?xml version=\"1.0\"?><Error><Code>" code "</Code><Message>m</Message></Error>"

static void each_answer_has_one_meaning(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum objects_outcome outcome;
        enum objects_fault fault;
    } table[] = {
        {412, CODE("PreconditionFailed"), OBJECTS_EXISTS, OBJECTS_FAULT_OTHER},
        {409, CODE("FileAlreadyExists"), OBJECTS_EXISTS, OBJECTS_FAULT_OTHER},
        {409, CODE("FileImmutable"), OBJECTS_EXISTS, OBJECTS_FAULT_OTHER},
        {409, CODE("ConditionalRequestConflict"), OBJECTS_UNCLEAR, OBJECTS_FAULT_OTHER},
        {409, "", OBJECTS_UNCLEAR, OBJECTS_FAULT_OTHER},
        {404, "", OBJECTS_NOT_FOUND, OBJECTS_FAULT_OTHER},
        {404, CODE("NoSuchKey"), OBJECTS_NOT_FOUND, OBJECTS_FAULT_OTHER},
        {404, CODE("NoSuchBucket"), OBJECTS_NO_BUCKET, OBJECTS_FAULT_BUCKET},
        {403, CODE("InvalidAccessKeyId"), OBJECTS_DENIED, OBJECTS_FAULT_KEYS},
        {403, CODE("RequestTimeTooSkewed"), OBJECTS_DENIED, OBJECTS_FAULT_CLOCK},
        {403, CODE("AccessDenied"), OBJECTS_DENIED, OBJECTS_FAULT_RIGHTS},
        {401, "", OBJECTS_DENIED, OBJECTS_FAULT_RIGHTS},
        {400, CODE("AuthorizationHeaderMalformed"), OBJECTS_REFUSED, OBJECTS_FAULT_REGION},
        {301, CODE("PermanentRedirect"), OBJECTS_REFUSED, OBJECTS_FAULT_REGION},
        {408, "", OBJECTS_UNCLEAR, OBJECTS_FAULT_OTHER},
        {429, "", OBJECTS_UNCLEAR, OBJECTS_FAULT_TROUBLE},
        {500, CODE("InternalError"), OBJECTS_UNCLEAR, OBJECTS_FAULT_TROUBLE},
        {503, CODE("SlowDown"), OBJECTS_UNCLEAR, OBJECTS_FAULT_TROUBLE},
        {400, CODE("MalformedXML"), OBJECTS_REFUSED, OBJECTS_FAULT_OTHER},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct store_error got = error_of(table[i].status, table[i].body);

        if (got.outcome != table[i].outcome || got.fault != table[i].fault)
            fail_msg("HTTP %d %s: %s, fault %d", table[i].status, table[i].body,
                     objects_outcome_name(got.outcome), got.fault);
    }
}

static void without_an_answer_nothing_is_known(void **state)
{
    struct http_answer answer = {.error = -ERR_TIMEOUT, .failure = HTTP_FAILURE_ANSWER};
    struct store_error error;

    (void)state;
    assert_true(store_error_read(&answer, &error));
    assert_int_equal(error.outcome, OBJECTS_UNCLEAR);
    assert_int_equal(error.fault, OBJECTS_FAULT_SILENT);
}

static void a_success_is_no_error(void **state)
{
    struct http_answer answer = {.status = 204, .body = STR(CODE("NoSuchBucket"))};
    struct store_error error;

    (void)state;
    assert_false(store_error_read(&answer, &error));
}

/* <Error><Code>NoSuchBucket</Code></Error> */
static void oss_says_in_a_header_what_is_wrong_with_a_head(void **state)
{
    struct http_answer answer = {
        .status = 404,
        .headers = STR("x-oss-err: PEVycm9yPjxDb2RlPk5vU3VjaEJ1Y2tldDwvQ29kZT48L0Vycm9yPg==\r\n")};
    struct store_error error;

    (void)state;
    assert_true(store_error_read(&answer, &error));
    assert_int_equal(error.outcome, OBJECTS_NO_BUCKET);
}

static void a_code_is_one_printable_word(void **state)
{
    char room[200];

    (void)state;
    assert_string_equal(error_of(400, CODE("MalformedXML")).code, "MalformedXML");
    assert_string_equal(error_of(400, CODE("two words")).code, "");
    assert_string_equal(error_of(400, CODE("\x1b[31m")).code, "");
    assert_string_equal(error_of(400, "<Code>unfinished").code, "");
    (void)snprintf(room, sizeof(room), "<Code>%0*d</Code>", STORE_CODE_SIZE, 1);
    assert_string_equal(error_of(400, room).code, "");
}

static void versioning_is_read_or_it_is_none(void **state)
{
    struct str status;

    (void)state;
    assert_int_equal(store_versioning_read(STR("<VersioningConfiguration/>"), &status), 0);
    assert_str_eq(status, STR(""));
    assert_int_equal(
        store_versioning_read(STR("<VersioningConfiguration><Status>Suspended</Status>"), &status),
        0);
    assert_str_eq(status, STR("Suspended"));
    assert_int_equal(store_versioning_read(STR("<html>welcome</html>"), &status), -ERR_INVALID);
}

TESTS(TEST(each_answer_has_one_meaning), TEST(without_an_answer_nothing_is_known),
      TEST(a_success_is_no_error), TEST(oss_says_in_a_header_what_is_wrong_with_a_head),
      TEST(a_code_is_one_printable_word), TEST(versioning_is_read_or_it_is_none))
