/* test.h - what every test file starts with: cmocka, and assertions over our own types. */
#ifndef SUPPORT_TEST_H
#define SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

#define assert_str_eq(got, want)                                                                   \
    do {                                                                                           \
        struct str got_ = (got), want_ = (want);                                                   \
        if (!str_eq(got_, want_))                                                                  \
            fail_msg("got \"%.*s\", wanted \"%.*s\"", STR_ARG(got_), STR_ARG(want_));              \
    } while (0)

/* TESTS(a_test, another_test) is the file's main. */
#define TESTS(...)                                                                                 \
    int main(void)                                                                                 \
    {                                                                                              \
        const struct CMUnitTest tests[] = {TESTS_EACH(__VA_ARGS__)};                               \
        return cmocka_run_group_tests(tests, NULL, NULL);                                          \
    }
#define TESTS_EACH(...) __VA_ARGS__
#define TEST(name)      cmocka_unit_test(name)

#endif
