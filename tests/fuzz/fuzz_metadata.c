/* An object's key and metadata. The first line is a key; lines "name=value" behind it are metadata that nobody
 * signed; and the input's first bytes, as numbers, are metadata that we sign.
 *
 * links: objects
 */
#include "fuzz.h"

#include "objects/name.h"

static const struct crypto_key key = {{1, 2, 3}};

static void check_name(struct str text)
{
    AUTO_BUF struct buf tail = {0};
    struct object_name name;

    if (!object_name_parse(text, &name))
        return;
    CHECK(name.partition >= 0 && name.first >= 0 && name.chain.len == OBJECT_CHAIN_SIZE - 1);
    buf_init(&tail, OBJECT_KEY_SIZE_MAX);
    buf_addf(&tail, "_%d_%020lld_" STR_FMT ".gz", name.partition, (long long)name.first,
             STR_ARG(name.chain));
    CHECK(str_ends(text, buf_str(&tail)));
}

static bool get_line(void *arg, const char *name, struct str *ret)
{
    struct str rest = *(const struct str *)arg, line, got;

    while (fuzz_line(&rest, &line)) {
        *ret = line;
        if (str_split(ret, '=', &got) && str_eq(got, str_from(name)) && ret->at)
            return true;
    }
    return false;
}

static bool get_field(void *arg, const char *name, struct str *ret)
{
    const struct object_meta_field *fields = arg;

    for (size_t i = 0; i < OBJECT_META_FIELDS; i++) {
        *ret = str_from(fields[i].value);
        if (strcmp(fields[i].name, name) == 0)
            return true;
    }
    return false;
}

static void check_signed(struct str bytes)
{
    struct object_meta_field fields[OBJECT_META_FIELDS];
    struct object_meta meta = {.chain = "0123456789abcdef"}, got;
    int64_t numbers[7];
    bool sensible;

    if (bytes.len < sizeof(numbers))
        return;
    memcpy(numbers, bytes.at, sizeof(numbers));
    meta.partition = (int32_t)numbers[0];
    meta.from = numbers[1];
    meta.first = numbers[2];
    meta.last = numbers[3];
    meta.next = numbers[4];
    meta.count = numbers[5];
    meta.version = numbers[6];
    sensible = meta.partition >= 0 && meta.from >= 0 && meta.from <= meta.first &&
               meta.first <= meta.last && meta.last < meta.next && meta.count >= 1 &&
               meta.version >= 0;
    object_meta_render(&meta, &key, STR("bucket"), STR("object"), fields);
    CHECK((object_meta_parse(get_field, fields, &key, STR("bucket"), STR("object"), &got, NULL) ==
           0) == sensible);
    CHECK(!sensible || (got.next == meta.next && got.first == meta.first &&
                        got.partition == meta.partition && got.count == meta.count));
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    struct str rest = fuzz_input(at, len), line = STR("");
    struct object_meta meta;

    check_signed(rest);
    check_name(rest);
    if (fuzz_line(&rest, &line))
        check_name(line);
    line.len = MIN_OF(line.len, (size_t)OBJECT_KEY_SIZE_MAX);
    if (rest.at)
        (void)!object_meta_parse(get_line, &rest, &key, STR("bucket"), line, &meta, NULL);
    return 0;
}
