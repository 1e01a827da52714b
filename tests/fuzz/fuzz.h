/* fuzz.h - what every fuzz target starts with. A broken promise is a failed CHECK: a crash that the fuzzer
 * keeps, with the input that led to it. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

/* An empty input has no address; slices of ours may not care, but arithmetic does. */
struct str fuzz_input(const uint8_t *at, size_t len);

/* The next line of *rest, without its line break; false at the end. */
bool fuzz_line(struct str *rest, struct str *ret);

#endif
