/* attributes.h - what `trailctl lookup` searches by, checked before anything is asked.
 *
 * The original API answers a combination that it does not support by leaving a part of it out; who searches an
 * audit trail must not be given more, or less, than was asked for.
 *
 * Layer: pure. DEPS base, history.
 */
#ifndef CLI_ATTRIBUTES_H
#define CLI_ATTRIBUTES_H

#include "base/base.h"
#include "cli/args.h"
#include "history/history.h"

struct attributes {
    struct {
        struct str key, value;
    } at[HISTORY_ATTRIBUTES_MAX];
    size_t count;
};

/* The values KEY=VALUE of the option --attribute. -ERR_INVALID with what would be right. */
MUST_CHECK int attributes_parse(const struct args *args, struct attributes *ret,
                                struct why *reterr_why);

#endif
