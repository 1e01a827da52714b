/* Fingerprints: as others compute SipHash, and of pairs. */
#include "core/fingerprint.h"

#include "test.h"

/* The key of SipHash's published vectors: the bytes 0 to 15. */
static const struct fingerprint_key key = {0x0706050403020100ULL, 0x0F0E0D0C0B0A0908ULL};

/* From `openssl mac -macopt size:16 -macopt c-rounds:1 -macopt d-rounds:3 -macopt hexkey:000102… SIPHASH`. */
static void a_fingerprint_is_the_siphash_of_length_filled_up_text_and_text(void **state)
{
    static const struct {
        struct str first, second;
        struct fingerprint want;
    } cases[] = {
        {STR(""), STR(""), {0xE2B3F81D9780E3DFULL, 0x25FBF3E33E8FF111ULL}},
        {STR(""), STR("abc"), {0x029E80FB95519637ULL, 0xB53585CB603F4D89ULL}},
        {STR("ab"), STR("c"), {0xA82DE5F5CA26301AULL, 0x497021A57B39B02CULL}},
        {STR("a"), STR("bc"), {0x61663E9FE627C746ULL, 0xDA0DC96E7CCB4707ULL}},
        {STR("12345678"), STR("1234567"), {0x0F48297DC6289866ULL, 0x7143CB663EA72E65ULL}},
        {STR("12345678"), STR("12345678"), {0x9BB3319AAB40A3E7ULL, 0xB993500EC795EF0AULL}},
    };
    char many[300];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_true(
            fingerprint_eq(fingerprint_of(&key, cases[i].first, cases[i].second), cases[i].want));
    memset(many, 'x', sizeof(many));
    assert_true(fingerprint_eq(fingerprint_of(&key, STR("123456789"), str_of(many, sizeof(many))),
                               (struct fingerprint){0x579A0D46A96D0A57ULL, 0x06B3F6F2B843F715ULL}));
}

static void under_another_key_nothing_is_the_same(void **state)
{
    const struct fingerprint_key other = {key.a, key.b + 1};
    struct fingerprint x = fingerprint_of(&key, STR("json"), STR("{}")),
                       y = fingerprint_of(&other, STR("json"), STR("{}"));

    (void)state;
    assert_true(x.a != y.a && x.b != y.b);
}

TESTS(TEST(a_fingerprint_is_the_siphash_of_length_filled_up_text_and_text),
      TEST(under_another_key_nothing_is_the_same))
