/* support.c - inputs as slices and lines. */
#include "fuzz.h"

struct str fuzz_input(const uint8_t *at, size_t len)
{
    return len ? str_of(at, len) : STR("");
}

bool fuzz_line(struct str *rest, struct str *ret)
{
    return rest->len && str_split(rest, '\n', ret);
}
