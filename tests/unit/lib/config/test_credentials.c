/* test_credentials.c - where files of secrets are looked for. */
#include "config/common.h"

#include "test.h"

static void finds(const char *name, const char *want)
{
    AUTO_FREE char *path = credential_path(str_from(name));

    assert_string_equal(path, want);
}

static void a_path_is_itself_and_a_name_a_credential(void **state)
{
    (void)state;
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    finds("/srv/key", "/srv/key");
    finds("here/key", "here/key");
    finds("master.key", "/etc/trailbus/credentials/master.key");
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/run/credentials/u", 1), 0);
    finds("master.key", "/run/credentials/u/trailbus_master.key");
    finds("/srv/key", "/srv/key");
}

TESTS(TEST(a_path_is_itself_and_a_name_a_credential))
