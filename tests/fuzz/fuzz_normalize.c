/* A record of JSON: see normalizing.h.
 *
 * links: fuzz_normalizing
 */
#include "fuzz.h"
#include "normalizing.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    check_normalizing(fuzz_input(at, len), true);
    return 0;
}
