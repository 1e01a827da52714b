/* A store's answer that is no success. The first byte chooses the status, the rest is body, or, where the first byte
 * is odd, headers: there is one meaning, never success; the code is printable.
 *
 * links: objects
 */
#include "fuzz.h"

#include "objects/store_error.h"

static const int statuses[] = {200, 301, 400, 401, 403, 404, 408, 409, 412, 429, 500, 503};

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    struct str input = fuzz_input(at, len), rest = input, status;
    struct http_answer answer = {0};
    struct store_error error;

    if (len == 0)
        return 0;
    rest = str_of(input.at + 1, input.len - 1);
    answer.status = statuses[at[0] / 2 % ARRAY_LEN(statuses)];
    if (at[0] % 2)
        answer.headers = rest;
    else
        answer.body = rest;
    CHECK(store_error_read(&answer, &error) == (answer.status != 200));
    if (answer.status != 200) {
        CHECK(error.outcome != OBJECTS_OK && error.fault != OBJECTS_FAULT_NONE);
        for (const char *c = error.code; *c; c++)
            CHECK(*c > ' ' && *c <= '~');
    }
    if (store_versioning_read(rest, &status) == 0)
        CHECK(status.len <= rest.len);
    return 0;
}
