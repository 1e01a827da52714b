/* fixture.h - a view of `control` that records are applied to. */
#ifndef CONTROL_FIXTURE_H
#define CONTROL_FIXTURE_H

#include "control/control.h"

#include "test.h"

static struct control *control;
static struct why why;

static inline int setup(void **state)
{
    (void)state;
    control = control_new();
    return control ? 0 : -1;
}

static inline int teardown(void **state)
{
    (void)state;
    control_free(control);
    return 0;
}

static inline int apply(const char *key, const char *value)
{
    return control_apply(control, str_from(key), str_from(value), value == NULL, &why);
}

#endif
