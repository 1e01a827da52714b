/* scan.h - what Redis has: keys by pattern, hashes as documents.
 *
 * Layer: I/O by state.h. DEPS base, jsondoc, state.
 */
#ifndef CLI_SCAN_H
#define CLI_SCAN_H

#include "base/base.h"
#include "jsondoc/jsondoc.h"
#include "state/keys.h"
#include "state/state.h"

#define SCAN_BATCH 1000 /* commands in one round trip */

struct scan_names {
    char **at;
    size_t count, cap;
};
void scan_names_done(struct scan_names *names);
int scan_names_add(struct scan_names *names, struct str name);

/* Sorted, each once. */
MUST_CHECK int scan_members(struct state *state, const struct state_key *key,
                            struct scan_names *ret, struct why *why);
MUST_CHECK int scan_keys(struct state *state, struct str pattern, struct scan_names *ret,
                         struct why *why);
/* The parts of a key behind its first `skip`, split at ':'; the last one takes the rest. */
bool scan_key_parts(const char *key, int skip, struct str *ret, size_t count);
/* Field of an HGETALL; empty when it is not there. */
struct str scan_field(const struct state_reply *hash, struct str name);
/* Asks for each key's hash and appends what `make` makes of it. */
MUST_CHECK int scan_documents(struct state *state, const struct scan_names *keys,
                              struct jsondoc *(*make)(const char *key,
                                                      const struct state_reply *hash),
                              struct jsondoc *list, struct why *why);

#endif
