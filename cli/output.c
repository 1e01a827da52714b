/* output.c - tables and JSON lines. */
#include "cli/output.h"

#include <stdio.h>

#define CELL_SIZE_MAX 4096

void output_clean(struct str text, size_t size_max, struct buf *out)
{
    size_t len = MIN_OF(text.len, size_max);
    bool utf8 = str_is_utf8(text);

    while (utf8 && len < text.len && len > 0 && ((unsigned char)text.at[len] & 0xc0) == 0x80)
        len--; /* never within a character */
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        /* U+0080 to U+009F are controls, too */
        bool control = c < 0x20 || c == 0x7f ||
                       (c == 0xc2 && i + 1 < len && (unsigned char)text.at[i + 1] < 0xa0);

        buf_add_byte(out, control || (c >= 0x80 && !utf8) ? '?' : (char)c);
        if (control && c == 0xc2)
            i++;
    }
    if (len < text.len)
        buf_add_str(out, STR("…"));
}

void output_begin(struct output *o, const struct output_column *columns)
{
    for (; columns[o->count].member; o->count++) {
        CHECK(o->count < OUTPUT_COLUMNS_MAX);
        o->columns[o->count] = columns[o->count];
    }
}

static size_t characters(struct str text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++)
        count += ((unsigned char)text.at[i] & 0xc0) != 0x80;
    return count;
}

static void print_cells(const struct output *o, const struct str *values)
{
    AUTO_BUF struct buf line = {0};

    buf_init(&line, (size_t)2 * CELL_SIZE_MAX * OUTPUT_COLUMNS_MAX);
    for (size_t i = 0; i < o->count; i++) {
        size_t from = line.len, used;

        output_clean(values[i], CELL_SIZE_MAX, &line);
        used = characters(str_of(line.at + from, line.len - from));
        if (i + 1 == o->count)
            break;
        do
            buf_add_byte(&line, ' ');
        while (++used <= (size_t)o->columns[i].width);
    }
    while (line.len && line.at[line.len - 1] == ' ')
        line.len--;
    puts(buf_cstr(&line));
}

static void print_object(struct output *o, const struct str *values)
{
    AUTO(jsondoc_free) struct jsondoc *doc = jsondoc_object();
    int r = doc ? 0 : -ERR_NOMEM;

    for (size_t i = 0; i < o->count && r == 0; i++)
        if (values[i].len)
            r = jsondoc_set_str(doc, o->columns[i].member, values[i]);
    if (r == 0)
        r = output_json(doc);
    if (r < 0 && o->error == 0)
        o->error = r;
}

void output_row(struct output *o, const struct str *values)
{
    struct str titles[OUTPUT_COLUMNS_MAX];

    for (size_t i = 0; i < o->count; i++)
        titles[i] = str_from(o->columns[i].title);
    if (!o->json && o->rows == 0)
        print_cells(o, titles);
    o->rows++;
    if (o->json)
        print_object(o, values);
    else
        print_cells(o, values);
}

int output_json(const struct jsondoc *doc)
{
    AUTO_BUF struct buf text = {0};
    int r;

    buf_init(&text, JSONDOC_SIZE_MAX);
    r = jsondoc_render(doc, &text);
    if (r == 0)
        puts(buf_cstr(&text));
    return r;
}

void output_wrapped(struct str text, size_t width)
{
    size_t used = 0;
    struct str word;

    while (str_split(&text, ' ', &word)) {
        size_t len = characters(word);

        if (used && used + 1 + len > width) {
            printf("\n");
            used = 0;
        }
        printf("%s" STR_FMT, used ? " " : "", STR_ARG(word));
        used += len + (used ? 1 : 0);
    }
    printf("\n");
}
