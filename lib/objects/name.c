/* name.c - keys and metadata, written and read back. */
#include "objects/name.h"

#include <stdio.h>

static const char *const field_names[OBJECT_META_FIELDS] = {
    "trailbus-chain",  "trailbus-partition", "trailbus-from",  "trailbus-first",
    "trailbus-last",   "trailbus-next",      "trailbus-count", "trailbus-version",
    "trailbus-sha256", "trailbus-counts",    "trailbus-hmac",
};
enum { CHAIN, PARTITION, FROM, FIRST, LAST, NEXT, COUNT, VERSION, SHA, COUNTS, HMAC_FIELD };

void object_folder(struct str prefix, struct str type, struct str region, struct buf *out)
{
    buf_add_str(out, prefix);
    if (prefix.len && prefix.at[prefix.len - 1] != '/')
        buf_add_byte(out, '/');
    buf_addf(out, "AliyunLogs/" STR_FMT "/" STR_FMT "/", STR_ARG(type), STR_ARG(region));
}

void object_day_prefix(struct str prefix, struct str type, struct str region, int64_t time_ms,
                       struct buf *out)
{
    struct time_parts t = time_split(time_ms / 1000);

    object_folder(prefix, type, region, out);
    buf_addf(out, "%04d/%02d/%02d/", t.year, t.month, t.day);
}

void object_key(struct str prefix, struct str type, struct str region, int64_t time_ms,
                int32_t partition, int64_t first, struct str chain, struct buf *out)
{
    struct time_parts t = time_split(time_ms / 1000);

    object_day_prefix(prefix, type, region, time_ms, out);
    buf_addf(out, "Actiontrail_" STR_FMT "_%04d%02d%02d%02d%02d%02d_%d_%020lld_" STR_FMT ".gz",
             STR_ARG(region), t.year, t.month, t.day, t.hour, t.minute, t.second, partition,
             (long long)first, STR_ARG(chain));
}

/* Takes the last part of *rest behind `sep` away. */
static bool cut_last(struct str *rest, char sep, struct str *ret_part)
{
    for (size_t i = rest->len; i > 0; i--) {
        if (rest->at[i - 1] != sep)
            continue;
        *ret_part = str_of(rest->at + i, rest->len - i);
        rest->len = i - 1;
        return true;
    }
    return false;
}

/* "YYYYMMDDhhmmss" */
static bool parse_time(struct str digits, int64_t *ret_s)
{
    char text[TIME_TEXT_SIZE];

    if (digits.len != 14)
        return false;
    (void)snprintf(text, sizeof(text), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", digits.at, digits.at + 4,
                   digits.at + 6, digits.at + 8, digits.at + 10, digits.at + 12);
    return time_parse(str_from(text), ret_s);
}

/* As object_key() writes them: no signs, no leading zeros, lower case. */
static bool chain_valid(struct str chain)
{
    for (size_t i = 0; i < chain.len; i++)
        if (!(chain.at[i] >= '0' && chain.at[i] <= '9') &&
            !(chain.at[i] >= 'a' && chain.at[i] <= 'f'))
            return false;
    return chain.len == OBJECT_CHAIN_SIZE - 1;
}

static bool parse_partition(struct str text, int32_t *ret)
{
    uint64_t n;

    if (!str_to_u64(text, &n) || n > INT32_MAX || (text.len > 1 && text.at[0] == '0'))
        return false;
    *ret = (int32_t)n;
    return true;
}

bool object_name_parse(struct str key, struct object_name *ret)
{
    struct str rest = key, first, partition, time;
    uint64_t n;

    if (!str_ends(rest, STR(".gz")))
        return false;
    rest.len -= 3;
    if (!cut_last(&rest, '_', &ret->chain) || !cut_last(&rest, '_', &first) ||
        !cut_last(&rest, '_', &partition) || !cut_last(&rest, '_', &time) ||
        !parse_time(time, &ret->time_s) || first.len != 20 || !str_to_u64(first, &n) ||
        n > INT64_MAX || !parse_partition(partition, &ret->partition) || !chain_valid(ret->chain))
        return false;
    ret->first = (int64_t)n;
    return true;
}

struct crypto_key object_meta_key(const struct crypto_key *master)
{
    return crypto_derive(master, STR("object metadata"));
}

static void sign_fields(const struct object_meta_field *fields, const struct crypto_key *key,
                        struct str bucket, struct str object, char *ret_hex)
{
    char text_room[16384], hex_room[65];
    struct buf text = buf_over(text_room, sizeof(text_room));
    struct buf hex = buf_over(hex_room, sizeof(hex_room));
    struct sha256 d;

    buf_addf(&text, STR_FMT "/" STR_FMT "\n", STR_ARG(bucket), STR_ARG(object));
    for (size_t i = 0; i < HMAC_FIELD; i++)
        if (i != COUNTS || fields[i].value[0]) /* objects had none once */
            buf_addf(&text, "%s=%s\n", fields[i].name, fields[i].value);
    CHECK(buf_error(&text) == 0);
    d = hmac_sha256(str_of(key->bytes, CRYPTO_KEY_SIZE), buf_str(&text));
    buf_add_hex(&hex, d.bytes, SHA256_SIZE);
    memcpy(ret_hex, buf_cstr(&hex), 65);
}

static void set_number(struct object_meta_field *field, int64_t n)
{
    (void)snprintf(field->value, sizeof(field->value), "%lld", (long long)n);
}

void object_meta_render(const struct object_meta *meta, const struct crypto_key *key,
                        struct str bucket, struct str object,
                        struct object_meta_field ret[OBJECT_META_FIELDS])
{
    char hex_room[65];
    struct buf hex = buf_over(hex_room, sizeof(hex_room));

    buf_add_hex(&hex, meta->sha256.bytes, SHA256_SIZE);
    for (size_t i = 0; i < OBJECT_META_FIELDS; i++)
        (void)snprintf(ret[i].name, sizeof(ret[i].name), "%s", field_names[i]);
    (void)snprintf(ret[CHAIN].value, sizeof(ret[CHAIN].value), "%s", meta->chain);
    set_number(&ret[PARTITION], meta->partition);
    set_number(&ret[FROM], meta->from);
    set_number(&ret[FIRST], meta->first);
    set_number(&ret[LAST], meta->last);
    set_number(&ret[NEXT], meta->next);
    set_number(&ret[COUNT], meta->count);
    set_number(&ret[VERSION], meta->version);
    (void)snprintf(ret[SHA].value, sizeof(ret[SHA].value), "%s", buf_cstr(&hex));
    ret[COUNTS].value[0] = '\0';
    if (meta->since >= 0)
        (void)snprintf(ret[COUNTS].value, sizeof(ret[COUNTS].value), "%lld %lld %lld %lld",
                       (long long)meta->since, (long long)meta->delivered,
                       (long long)meta->filtered, (long long)meta->lost);
    sign_fields(ret, key, bucket, object, ret[HMAC_FIELD].value);
}

static int bad(struct why *why, struct str object, const char *what)
{
    return why_set(why, -ERR_INVALID, STR_FMT ": its metadata %s", STR_ARG(object), what);
}

static bool number(const struct object_meta_field *field, int64_t *ret)
{
    return str_to_i64(str_from(field->value), ret) && *ret >= 0;
}

/* "since delivered filtered lost"; empty: unknown. */
static bool counts(const struct object_meta_field *field, struct object_meta *ret)
{
    int64_t *const numbers[] = {&ret->since, &ret->delivered, &ret->filtered, &ret->lost};
    struct str rest = str_from(field->value), word;

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        *numbers[i] = -1;
    for (size_t i = 0; field->value[0] && i < ARRAY_LEN(numbers); i++) {
        if (i + 1 == ARRAY_LEN(numbers))
            word = rest;
        else if (!str_split(&rest, ' ', &word))
            return false;
        if (!str_to_i64(word, numbers[i]) || *numbers[i] < 0)
            return false;
    }
    return true;
}

int object_meta_parse(bool (*get)(void *arg, const char *name, struct str *ret), void *arg,
                      const struct crypto_key *key, struct str bucket, struct str object,
                      struct object_meta *ret, struct why *reterr_why)
{
    struct object_meta_field fields[OBJECT_META_FIELDS];
    int64_t partition;
    char hmac[72];

    for (size_t i = 0; i < OBJECT_META_FIELDS; i++) {
        struct str value = STR("");

        if (!get(arg, field_names[i], &value)) {
            if (i != COUNTS)
                return bad(reterr_why, object, "is missing: not written by us, or taken away");
            value = STR(""); /* whatever was looked at on the way */
        }
        if (value.len >= sizeof(fields[i].value))
            return bad(reterr_why, object, "is too long");
        (void)snprintf(fields[i].name, sizeof(fields[i].name), "%s", field_names[i]);
        memcpy(fields[i].value, value.at, value.len);
        fields[i].value[value.len] = '\0';
    }
    sign_fields(fields, key, bucket, object, hmac);
    if (!crypto_equal(str_from(hmac), str_from(fields[HMAC_FIELD].value)))
        return bad(reterr_why, object, "is not signed by this deployment");
    if (strlen(fields[CHAIN].value) != OBJECT_CHAIN_SIZE - 1 ||
        !number(&fields[PARTITION], &partition) || partition > INT32_MAX ||
        !number(&fields[FROM], &ret->from) || !number(&fields[FIRST], &ret->first) ||
        !number(&fields[LAST], &ret->last) || !number(&fields[NEXT], &ret->next) ||
        !number(&fields[COUNT], &ret->count) || !number(&fields[VERSION], &ret->version) ||
        !str_hex_decode(str_from(fields[SHA].value), ret->sha256.bytes, SHA256_SIZE) ||
        !counts(&fields[COUNTS], ret))
        return bad(reterr_why, object, "is malformed");
    memcpy(ret->chain, fields[CHAIN].value, OBJECT_CHAIN_SIZE);
    ret->partition = (int32_t)partition;
    if (ret->from > ret->first || ret->first > ret->last || ret->last >= ret->next ||
        ret->count < 1)
        return bad(reterr_why, object, "contradicts itself");
    return 0;
}
