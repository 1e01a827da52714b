/* test_rights.c - lists of names as users and groups hold them. */
#include "cli/rights.h"

#include <stdio.h>

#include "test.h"

static void a_name_is_added_once(void **state)
{
    struct control_names none = {NULL, 0};
    struct name_list one, two, same;
    (void)state;

    assert_true(names_add(&none, STR("a"), &one));
    assert_true(names_add(&one.names, STR("b"), &two));
    assert_true(names_add(&two.names, STR("a"), &same));
    assert_int_equal(same.names.count, 2);
    assert_true(names_have(&same.names, STR("a")) && names_have(&same.names, STR("b")));
    assert_false(names_have(&same.names, STR("")));
}

static void a_name_is_taken_away(void **state)
{
    const struct str all[] = {STR("a"), STR("b"), STR("c")};
    struct control_names names = {all, ARRAY_LEN(all)};
    struct name_list left, still;
    AUTO_BUF struct buf text = {0};
    (void)state;

    names_remove(&names, STR("b"), &left);
    names_remove(&left.names, STR("x"), &still);
    buf_init(&text, 100);
    names_join(&still.names, &text);
    assert_str_eq(buf_str(&text), STR("a,c"));
}

static void a_full_list_takes_only_what_it_has(void **state)
{
    char texts[CONTROL_NAMES_MAX][8];
    struct str all[CONTROL_NAMES_MAX];
    struct control_names names = {all, CONTROL_NAMES_MAX};
    struct name_list list, changed;
    (void)state;

    for (size_t i = 0; i < CONTROL_NAMES_MAX; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "n%zu", i);
        all[i] = str_from(texts[i]);
    }
    assert_false(names_add(&names, STR("another"), &list));
    assert_true(names_add(&names, STR("n7"), &list));
    assert_int_equal(list.names.count, CONTROL_NAMES_MAX);
    names_remove(&names, STR("n7"), &list);
    assert_true(names_add(&list.names, STR("another"), &changed));
    assert_int_equal(changed.names.count, CONTROL_NAMES_MAX);
    assert_true(names_have(&changed.names, STR("another")));
}

TESTS(TEST(a_name_is_added_once), TEST(a_name_is_taken_away),
      TEST(a_full_list_takes_only_what_it_has))
