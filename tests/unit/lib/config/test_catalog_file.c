/* test_catalog_file.c - what is laid over the built-in catalog is read whole, or not at all. */
#include "config/common.h"

#include "test.h"

static int reads(const char *path, struct why *why)
{
    AUTO_BUF struct buf out = {0};
    struct catalog_section section = {str_from(path)};

    return catalog_read_file(&section, &out, why);
}

static void no_file_is_nothing_to_lay_over(void **state)
{
    AUTO_BUF struct buf out = {0};
    struct catalog_section section = {STR("")};

    (void)state;
    assert_int_equal(catalog_read_file(&section, &out, NULL), 0);
    assert_int_equal(out.len, 0);
}

static void a_file_that_cannot_be_read_is_refused(void **state)
{
    struct why why = {0};

    (void)state;
    assert_int_equal(reads("/nowhere/catalog.json", &why), -ERR_CONFIG);
    assert_int_equal(reads("/", &why), -ERR_CONFIG); /* it opens, and has no bytes */
    assert_non_null(strstr(why.text, "directory"));
}

static void a_file_without_end_is_too_large(void **state)
{
    struct why why = {0};

    (void)state;
    assert_int_equal(reads("/dev/zero", &why), -ERR_CONFIG);
    assert_non_null(strstr(why.text, "too large"));
}

TESTS(TEST(no_file_is_nothing_to_lay_over), TEST(a_file_that_cannot_be_read_is_refused),
      TEST(a_file_without_end_is_too_large))
