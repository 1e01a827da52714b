/* settings.h - where trailctl finds addresses and keys: the environment, or a profile.
 *
 * A profile is a file ~/.config/trailbus/NAME of lines KEY=value, as run/trailbus.env has them. One that is
 * named goes before the environment; `default` only fills in what the environment does not say.
 *
 * Ownership: strings belong to the settings, or to the environment.
 * Layer:     I/O, but for profile_parse(). DEPS base, topology.
 */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include "base/base.h"

#define PROFILE_SIZE_MAX  65536
#define PROFILE_LINES_MAX 256

struct profile {
    char *text; /* what the values are slices of */
    struct {
        struct str name, value;
    } lines[PROFILE_LINES_MAX];
    size_t count;
};

/* Lines NAME=value, value or "value" or 'value'; empty lines and those that begin with # are passed over.
 * Takes `text` over, also on an error. -ERR_INVALID with the line's number. */
MUST_CHECK int profile_parse(char *text, struct profile *ret, struct why *reterr_why);
void profile_done(struct profile *profile);

struct settings {
    struct profile profile;
    bool first; /* the profile was asked for: it goes before the environment */
};

/* `profile`: empty for `default`, which need not be there. -ERR_CONFIG when one that is named cannot be
 * read. */
MUST_CHECK int settings_open(struct str profile, struct settings *ret, struct why *reterr_why);
void settings_done(struct settings *settings);

/* Empty when nothing says it. */
struct str settings_get(const struct settings *settings, const char *name);
/* -ERR_CONFIG with what to do, when nothing says it. */
MUST_CHECK int settings_need(const struct settings *settings, const char *name, struct str *ret,
                             struct why *reterr_why);
/* Address of the API that serves `region` (empty: the default one). -ERR_CONFIG. */
MUST_CHECK int settings_api(const struct settings *settings, struct str region, struct str *ret,
                            struct why *reterr_why);

#endif
