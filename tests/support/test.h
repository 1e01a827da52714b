/* test.h - what every test file starts with: cmocka, and assertions over our own types. */
#ifndef SUPPORT_TEST_H
#define SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/base.h"

/* A path for mkstemp() or mkdtemp(). */
#define TEMPORARY(path)                                                                            \
    path "."                                                                                       \
         "XX"                                                                                      \
         "XX"                                                                                      \
         "XX"

#define assert_str_eq(got, want)                                                                   \
    do {                                                                                           \
        struct str got_ = (got), want_ = (want);                                                   \
        if (!str_eq(got_, want_))                                                                  \
            fail_msg("got \"%.*s\", wanted \"%.*s\"", STR_ARG(got_), STR_ARG(want_));              \
    } while (0)

/* An error with its sentence, where none is wanted. */
#define assert_ok(r, why)                                                                          \
    do {                                                                                           \
        int r_ = (r);                                                                              \
        if (r_ < 0)                                                                                \
            fail_msg("%s: %s", err_name(r_), (why).text);                                          \
    } while (0)

/* Draws that TRAILBUS_TEST_SEED repeats: xorshift64, started from it or from the clock, and printed. */
struct draws {
    uint64_t state;
};
static inline struct draws draws_begin(void)
{
    const char *given = getenv("TRAILBUS_TEST_SEED");
    struct draws d = {given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 2654435761u};

    d.state += d.state == 0;
    print_message("TRAILBUS_TEST_SEED=%llu\n", (unsigned long long)d.state);
    return d;
}
static inline uint64_t draws_next(struct draws *d, uint64_t below)
{
    d->state ^= d->state << 13;
    d->state ^= d->state >> 7;
    d->state ^= d->state << 17;
    return d->state % below;
}

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
