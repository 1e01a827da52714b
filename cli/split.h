/* split.h - events cut out of a stream of bytes, one after the other.
 *
 *     {"eventName":…}⏎{"eventName":…}⏎     one a line
 *     { "eventName": …⏎ … }               one document, over many lines
 *     [ {…}, {…} ]                        an array of them
 *
 * Finds where each begins and ends, and holds one at a time; whether it is good JSON is for the producer
 * library to say. What cannot be the beginning of an event, or does not end, is a piece by itself, named by its
 * line, and reading goes on behind it.
 *
 * Layer: pure. DEPS base.
 */
#ifndef CLI_SPLIT_H
#define CLI_SPLIT_H

#include "base/base.h"

struct split {
    struct buf text; /* of the event that is read */
    size_t size_max;
    int64_t line, begun; /* now; where the event began */
    int depth;           /* of braces and brackets within the event */
    bool in_array, in_string, escaped, skipping, given;
};

enum split_result {
    SPLIT_MORE,  /* all bytes are taken, nothing is complete */
    SPLIT_EVENT, /* ret->text is one */
    SPLIT_BAD,   /* ret->problem says what stands at ret->line instead of an event */
};

struct split_piece {
    struct str text; /* until the next call */
    int64_t line;    /* where it began; from 1 */
    const char *problem;
};

void split_init(struct split *split, size_t event_size_max);
void split_done(struct split *split);

/* Takes bytes off *rest up to the end of the next piece. */
enum split_result split_next(struct split *split, struct str *rest, struct split_piece *ret);
/* Behind the last byte: SPLIT_MORE when nothing is left over, else SPLIT_BAD. */
enum split_result split_end(struct split *split, struct split_piece *ret);

#endif
