/* An event as a service publishes it, through the producer's encoder: the record's key and id are the account and the
 * id that the normalizer finds in it, whether it reads the Avro or the JSON; and see normalizing.h.
 *
 * links: fuzz_normalizing trailbus_encoder
 */
#include "encoder.h"
#include "fuzz.h"
#include "normalizing.h"

/* Copies: the normalizer's own are gone with its next record. */
static bool names_of(struct str bytes, bool json, struct buf *account, struct buf *id)
{
    struct str a, i;

    if (!normalized_names(bytes, json, &a, &i))
        return false;
    buf_add_str(account, a);
    buf_add_str(id, i);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    static struct encoder encoder;
    AUTO_BUF struct buf account = {0}, id = {0}, other_account = {0}, other_id = {0};
    struct encoded encoded;
    struct why why = {0};
    int r;

    if (!encoder.arena)
        CHECK(encoder_init(&encoder) == 0);
    r = encoder_encode(&encoder, fuzz_input(at, len), &encoded, &why);
    CHECK(r == 0 || ((r == -ERR_INVALID || r == -ERR_LIMIT) && why.text[0]));
    if (r < 0)
        return 0;
    buf_init(&account, 1 << 20);
    buf_init(&id, 1 << 20);
    buf_init(&other_account, 1 << 20);
    buf_init(&other_id, 1 << 20);
    check_normalizing(encoded.avro, false);
    if (!names_of(encoded.avro, false, &account, &id))
        return 0;
    CHECK(str_eq(buf_str(&account), encoded.account));
    CHECK(str_eq(buf_str(&id), encoded.id));
    CHECK(names_of(fuzz_input(at, len), true, &other_account, &other_id));
    CHECK(str_eq(buf_str(&other_account), buf_str(&account)));
    return 0;
}
