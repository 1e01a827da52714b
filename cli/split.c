/* split.c - where an event ends: at the brace that closes the one that it began with. */
#include "cli/split.h"

void split_init(struct split *s, size_t event_size_max)
{
    *s = (struct split){.line = 1, .size_max = event_size_max};
    buf_init(&s->text, event_size_max + 1); /* and a NUL for those who want one */
}

void split_done(struct split *s)
{
    buf_done(&s->text);
}

static enum split_result bad(struct split *s, const char *problem, struct split_piece *ret)
{
    *ret = (struct split_piece){.line = s->begun, .problem = problem};
    s->depth = 0;
    s->in_string = s->escaped = false;
    s->given = true;
    return SPLIT_BAD;
}

/* Between events. */
static enum split_result take_between(struct split *s, char c, struct split_piece *ret)
{
    s->begun = s->line;
    switch (c) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
        return SPLIT_MORE;
    case '{':
        s->depth = 1;
        buf_add_byte(&s->text, c);
        return SPLIT_MORE;
    case '[':
        if (s->in_array)
            break;
        s->in_array = true;
        return SPLIT_MORE;
    case ',':
    case ']':
        if (!s->in_array)
            break;
        s->in_array = c == ',';
        return SPLIT_MORE;
    default:
        break;
    }
    s->skipping = true; /* the rest of the line would only say the same again */
    return bad(s, "this is no JSON object", ret);
}

static enum split_result take_within(struct split *s, char c, struct split_piece *ret)
{
    if (s->text.len == s->size_max) {
        s->skipping = c != '\n';
        return bad(s, "this event is too large, or is not closed", ret);
    }
    buf_add_byte(&s->text, c);
    if (s->in_string) {
        if (c == '\n') /* JSON has none in strings: the line was cut off */
            return bad(s, "this event ends within a string", ret);
        s->in_string = c != '"' || s->escaped;
        s->escaped = c == '\\' && !s->escaped;
        return SPLIT_MORE;
    }
    s->in_string = c == '"';
    s->depth += (c == '{' || c == '[') - (c == '}' || c == ']');
    if (s->depth > 0)
        return SPLIT_MORE;
    *ret = (struct split_piece){.text = buf_str(&s->text), .line = s->begun};
    s->given = true;
    return SPLIT_EVENT;
}

static enum split_result take(struct split *s, char c, struct split_piece *ret)
{
    if (s->skipping) {
        s->skipping = c != '\n';
        return SPLIT_MORE;
    }
    return s->depth ? take_within(s, c, ret) : take_between(s, c, ret);
}

enum split_result split_next(struct split *s, struct str *rest, struct split_piece *ret)
{
    enum split_result result = SPLIT_MORE;

    if (s->given) /* what was given is done with */
        buf_reset(&s->text);
    s->given = false;
    while (result == SPLIT_MORE && rest->len) {
        char c = *rest->at;

        *rest = str_of(rest->at + 1, rest->len - 1);
        result = take(s, c, ret);
        s->line += c == '\n';
        if (result != SPLIT_MORE && buf_error(&s->text))
            result = bad(s, "no memory", ret);
    }
    return result;
}

enum split_result split_end(struct split *s, struct split_piece *ret)
{
    if (s->depth)
        return bad(s, "this event is not closed", ret);
    return SPLIT_MORE;
}
