/* Nonces that this process saw are known to it, whatever becomes of Redis. */
#include "core/nonces.h"

#include <stdio.h>

#include "test.h"

static struct nonces *nonces(void)
{
    struct nonces *n = nonces_new(7);

    assert_non_null(n);
    return n;
}

static bool use(struct nonces *n, size_t number, int64_t now_ms)
{
    char text[32];

    return nonces_use(n, str_of(text, (size_t)snprintf(text, sizeof(text), "key:%zu", number)),
                      now_ms);
}

static void a_nonce_is_fresh_once(void **state)
{
    AUTO(nonces_free) struct nonces *n = nonces();

    (void)state;
    assert_true(use(n, 1, 0));
    assert_false(use(n, 1, 0));
    assert_true(use(n, 2, 0));
    assert_false(use(n, 1, 1000));
}

static void it_is_remembered_for_as_long_as_a_request_is_valid(void **state)
{
    AUTO(nonces_free) struct nonces *n = nonces();

    (void)state;
    for (size_t i = 0; i < 100; i++)
        assert_true(use(n, i, (int64_t)i * NONCES_TTL_MS / 100));
    for (size_t i = 1; i < 100; i++)
        assert_false(use(n, i, NONCES_TTL_MS));
}

static void after_two_generations_it_is_forgotten(void **state)
{
    AUTO(nonces_free) struct nonces *n = nonces();

    (void)state;
    assert_true(use(n, 1, 0));
    assert_true(use(n, 2, NONCES_TTL_MS));
    assert_true(use(n, 3, 2 * NONCES_TTL_MS));
    assert_true(use(n, 1, 2 * NONCES_TTL_MS));
}

static void a_flood_costs_the_oldest_not_the_memory(void **state)
{
    AUTO(nonces_free) struct nonces *n = nonces();
    size_t total = 3 * (size_t)NONCES_MAX;

    (void)state;
    for (size_t i = 0; i < total; i++)
        assert_true(use(n, i, 0));
    for (size_t i = total - NONCES_MAX; i < total; i++)
        assert_false(use(n, i, 0));
    assert_true(use(n, 0, 0));
}

TESTS(TEST(a_nonce_is_fresh_once), TEST(it_is_remembered_for_as_long_as_a_request_is_valid),
      TEST(after_two_generations_it_is_forgotten), TEST(a_flood_costs_the_oldest_not_the_memory))
