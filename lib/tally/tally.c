/* tally.c - counts, and their text. */
#include "tally/tally.h"

#include <stdio.h>

#define FORM STR("1")

void tally_begin(struct tally *t, const struct tally_kinds *kinds, int64_t base)
{
    CHECK(kinds->count <= TALLY_KINDS_MAX);
    *t = (struct tally){.kinds = kinds, .base = base};
}

static bool number(struct str text, int64_t *ret)
{
    return str_to_i64(text, ret) && *ret >= 0;
}

static bool read_count(struct str part, struct tally *t)
{
    struct str value = part, name;
    int64_t count;

    if (!str_split(&value, '=', &name) || !number(value, &count))
        return false;
    for (size_t i = 0; i < t->kinds->count; i++)
        if (str_eq(name, str_from(t->kinds->names[i])))
            t->counts[i] = count;
    return true;
}

int tally_parse(struct str text, const struct tally_kinds *kinds, struct tally *ret)
{
    struct str rest = text, form, base, gaps, part;
    bool good;

    tally_begin(ret, kinds, 0);
    good = str_split(&rest, ' ', &form) && str_eq(form, FORM) && str_split(&rest, ' ', &base) &&
           number(base, &ret->base) && str_split(&rest, ' ', &gaps) && number(gaps, &ret->gaps);
    while (good && rest.len && str_split(&rest, ' ', &part))
        good = read_count(part, ret);
    if (good)
        return 0;
    tally_begin(ret, kinds, 0);
    return -ERR_INVALID;
}

/* Takes no memory: a worker that has none left still commits. */
int tally_render(const struct tally *t, char ret[TALLY_TEXT_SIZE])
{
    struct buf text = buf_over(ret, TALLY_TEXT_SIZE - 1);

    buf_addf(&text, "1 %lld %lld", (long long)t->base, (long long)t->gaps);
    for (size_t i = 0; i < t->kinds->count; i++)
        if (t->counts[i])
            buf_addf(&text, " %s=%lld", t->kinds->names[i], (long long)t->counts[i]);
    ret[text.len] = '\0';
    return buf_error(&text);
}
