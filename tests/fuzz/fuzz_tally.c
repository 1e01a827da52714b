/* The text beside a committed offset: counts that render to the same again, or none.
 *
 * links: tally
 */
#include "fuzz.h"

#include "tally/tally.h"

static const struct tally_kinds kinds = {.names = {"normalized", "duplicate", "rejected"},
                                         .count = 3};

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    char text[TALLY_TEXT_SIZE], again[TALLY_TEXT_SIZE];
    struct tally tally, same;
    int r = tally_parse(fuzz_input(at, len), &kinds, &tally);

    CHECK(r == 0 || r == -ERR_INVALID);
    CHECK(tally.kinds == &kinds && tally.base >= 0 && tally.gaps >= 0);
    for (size_t i = 0; i < kinds.count; i++)
        CHECK(tally.counts[i] >= 0 && (r == 0 || tally.counts[i] == 0));
    CHECK(tally_render(&tally, text) == 0);
    CHECK(tally_parse(str_from(text), &kinds, &same) == 0);
    CHECK(tally_render(&same, again) == 0 && strcmp(text, again) == 0);
    return 0;
}
