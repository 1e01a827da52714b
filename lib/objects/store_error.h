/* store_error.h - what an answer of a store behind HTTP means when it is no success (delivery protocol, rule 11): its
 * status and the store's own word for it, in S3's words and in OSS's.
 *
 * Layer: pure. DEPS base, http (what an answer is).
 */
#ifndef OBJECTS_STORE_ERROR_H
#define OBJECTS_STORE_ERROR_H

#include "http/http.h"
#include "objects/objects.h"

#define STORE_CODE_SIZE 64 /* with NUL; a longer one is no word of a store */

struct store_error {
    enum objects_outcome outcome; /* never OBJECTS_OK */
    enum objects_fault fault;
    char code[STORE_CODE_SIZE]; /* NoSuchBucket, …; empty: none that is printable was given */
};

/* False: a success. */
bool store_error_read(const struct http_answer *answer, struct store_error *ret);

/* The answer to GET ?versioning: "Enabled", "Suspended", or empty where it was never on; a slice of `body`.
 * -ERR_INVALID: it is none. */
MUST_CHECK int store_versioning_read(struct str body, struct str *ret_status);

#endif
