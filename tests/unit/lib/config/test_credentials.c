/* test_credentials.c - where files of secrets are looked for, and what the master key's must hold. */
#include <stdio.h>
#include <unistd.h>

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

static int read_key(const char *text, unsigned char ret[32], struct why *why)
{
    char path[] = "/tmp/trailbus-XXXXXX";
    const struct security_section security = {str_from(path)};
    int fd = mkstemp(path), r;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    r = security_read_key(&security, ret, why);
    (void)unlink(path);
    return r;
}

static void a_master_key_is_64_hex_digits(void **state)
{
    static const char good[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1F\n";
    const struct security_section absent = {STR("/nowhere/key")};
    unsigned char key[32];
    struct why why = {0};

    (void)state;
    assert_ok(read_key(good, key, &why), why);
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(key[i], i);
    assert_int_equal(read_key("", key, &why), -ERR_CONFIG);
    assert_int_equal(read_key(good + 2, key, &why), -ERR_CONFIG);
    assert_int_equal(
        read_key("zz0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", key, &why),
        -ERR_CONFIG);
    assert_non_null(strstr(why.text, "openssl rand -hex 32"));
    assert_int_equal(security_read_key(&absent, key, &why), -ERR_CONFIG);
}

TESTS(TEST(a_path_is_itself_and_a_name_a_credential), TEST(a_master_key_is_64_hex_digits))
