/* The counts beside a stream's progress, as Redis gives them back: totals that render to the same again, or none.
 *
 * links: delivery_core
 */
#include "fuzz.h"

#include "core/account.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    char text[ACCOUNT_TEXT_SIZE], again[ACCOUNT_TEXT_SIZE];
    struct account account, same;
    int r = account_parse(fuzz_input(at, len), &account);

    CHECK(r == 0 || r == -ERR_INVALID);
    if (r < 0)
        return 0;
    CHECK(account.filtered >= account.settled.filtered && account.lost >= account.settled.lost);
    account_render(&account, text);
    CHECK(account_parse(str_from(text), &same) == 0);
    account_render(&same, again);
    CHECK(strcmp(text, again) == 0);
    return 0;
}
