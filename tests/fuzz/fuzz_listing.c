/* A store's listing: keys and token are text of the answer, or it is refused.
 *
 * links: objects
 */
#include "fuzz.h"

#include "objects/objects.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    static struct arena *arena;
    struct str *keys = NULL, token = STR_NONE;
    size_t count = 0, bytes = 0;
    int r;

    arena = arena ? arena : arena_new(16 << 20);
    CHECK(arena);
    arena_reset(arena);
    r = objects_list_parse(fuzz_input(at, len), arena, &keys, &count, &token);
    CHECK(r == 0 || r == -ERR_INVALID || r == -ERR_NOMEM);
    if (r < 0)
        return 0;
    CHECK(count <= OBJECTS_LIST_KEYS_MAX && token.at);
    for (size_t i = 0; i < count; i++) {
        CHECK(keys[i].at);
        bytes += keys[i].len;
    }
    CHECK(bytes <= len);
    return 0;
}
