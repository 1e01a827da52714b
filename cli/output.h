/* output.h - results as people and programs read them: a table, or one JSON object a line.
 *
 * Layer: writes to standard output. DEPS base, jsondoc.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "base/base.h"
#include "jsondoc/jsondoc.h"

#define OUTPUT_COLUMNS_MAX 12

struct output_column {
    const char *member; /* in JSON; NULL ends the list */
    const char *title;
    int width; /* a longer value moves the rest of its row; 0: the last column */
};

/* Set `json`, zero the rest. */
struct output {
    bool json;
    struct output_column columns[OUTPUT_COLUMNS_MAX];
    size_t count, rows;
    int error; /* 0, or of the first row that failed */
};

void output_begin(struct output *output, const struct output_column *columns);
/* One value a column; empty ones are left out of JSON. The titles come before the first row. */
void output_row(struct output *output, const struct str *values);

/* One line. -ERR_NOMEM, -ERR_LIMIT. */
MUST_CHECK int output_json(const struct jsondoc *doc);

/* Foreign text for a terminal: control characters and what is no UTF-8 become '?', `size_max` bytes at most
 * (then "…"). */
void output_clean(struct str text, size_t size_max, struct buf *out);

/* Prints `text`, broken between words into lines of at most `width`. */
void output_wrapped(struct str text, size_t width);

#endif
