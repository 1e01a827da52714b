/* normalizing.h - what two fuzz targets promise of the normalizer, whatever a record holds. */
#ifndef FUZZ_NORMALIZING_H
#define FUZZ_NORMALIZING_H

#include "base/base.h"

/* The record gets a verdict; a document that comes out is JSON without secrets, and stays as it is when it is
 * normalized again. */
void check_normalizing(struct str bytes, bool json);

/* The account and id of the event that a record becomes, borrowed until the next call; false: it becomes none. */
bool normalized_names(struct str bytes, bool json, struct str *ret_account, struct str *ret_id);

#endif
