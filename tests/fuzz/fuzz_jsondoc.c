/* Documents of the control plane: what parses renders, to what says the same to jansson; and all parses that jansson takes.
 *
 * links: jsondoc jansson
 */
#include <jansson.h>

#include "fuzz.h"

#include "jsondoc/jsondoc.h"

/* NULL: it takes it not, or may not be asked: it ends at a NUL. */
static json_t *by_jansson(struct str text)
{
    if (text.len && memchr(text.at, '\0', text.len))
        return NULL;
    return json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    AUTO(jsondoc_free) struct jsondoc *doc = NULL, *again = NULL;
    AUTO_BUF struct buf text = {0}, same = {0};
    struct str input = fuzz_input(at, len);
    json_t *theirs = by_jansson(input), *ours = NULL;
    struct why why = {0};
    int r = jsondoc_parse(input, &doc, &why);

    CHECK(r == 0 || ((r == -ERR_INVALID || r == -ERR_LIMIT) && why.text[0]));
    CHECK(!theirs || r == 0 || r == -ERR_LIMIT ||
          (!json_is_object(theirs) && !json_is_array(theirs)));
    if (r == 0) {
        buf_init(&text, (size_t)4 * JSONDOC_SIZE_MAX);
        buf_init(&same, (size_t)4 * JSONDOC_SIZE_MAX);
        CHECK(jsondoc_render(doc, &text) == 0);
        ours = by_jansson(buf_str(&text));
        CHECK(ours && (!theirs || json_equal(ours, theirs)));
        CHECK(jsondoc_parse(buf_str(&text), &again, NULL) == 0);
        CHECK(jsondoc_render(again, &same) == 0 && str_eq(buf_str(&text), buf_str(&same)));
    }
    json_decref(ours);
    json_decref(theirs);
    return 0;
}
