/* config.h - a program's settings: one table that parses, checks, documents and prints.
 *
 * One file (libconfig's syntax) serves all programs of a deployment. Each program reads the sections it
 * names and leaves the others' alone; inside its sections nothing unknown is tolerated:
 *
 *     bus: { brokers = "127.0.0.1:9092"; };
 *     destinations = ( { pattern = "*"; dialect = "s3"; … }, … );
 *
 * Ownership: strings belong to the struct config; free it last.
 * Layer:     reads a file. DEPS base. The only door to libconfig.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/base.h"

#define CONFIG_STRS_MAX   64
#define CONFIG_GROUPS_MAX 256

enum option_type {
    OPTION_STR,    /* struct str */
    OPTION_INT,    /* int64_t, between min and max; its unit ends its name */
    OPTION_BOOL,   /* bool */
    OPTION_STRS,   /* struct config_strs */
    OPTION_GROUPS, /* struct config_groups of what `group` describes */
};

struct config_strs {
    struct str at[CONFIG_STRS_MAX];
    size_t count;
};

struct config_groups {
    void *at; /* array of the group's struct */
    size_t count;
};

struct option_spec;
struct option_group {
    const struct option_spec *options;
    size_t size; /* of the struct that one entry fills */
};

struct option_spec {
    const char *name;
    enum option_type type;
    size_t offset;
    const char *fallback; /* as it would be written; NULL: required */
    int64_t min, max;
    const struct option_group *group;
    const char *help;
};

#define OPTION(name, kind, type, field, fallback, help)                                            \
    {                                                                                              \
        name, kind, offsetof(type, field), fallback, 0, INT64_MAX, NULL, help                      \
    }
#define OPTION_RANGE(name, type, field, fallback, min, max, help)                                  \
    {                                                                                              \
        name, OPTION_INT, offsetof(type, field), fallback, min, max, NULL, help                    \
    }
#define OPTION_LIST(name, type, field, group, help)                                                \
    {                                                                                              \
        name, OPTION_GROUPS, offsetof(type, field), "( )", 0, 0, group, help                       \
    }
#define OPTIONS_END                                                                                \
    {                                                                                              \
        NULL, OPTION_STR, 0, NULL, 0, 0, NULL, NULL                                                \
    }

/* `name: { … }` when options are given, `name = ( { … }, … )` when a group is. */
struct config_section {
    const char *name;
    const struct option_spec *options;
    const struct option_group *group;
    size_t offset; /* of the section's struct, or its struct config_groups, in the program's */
    const char *help;
};
#define SECTIONS_END                                                                               \
    {                                                                                              \
        NULL, NULL, NULL, 0, NULL                                                                  \
    }

struct config;

/* Reads `path` into `target`, which must be zeroed. -ERR_CONFIG with file, line and what to change. */
MUST_CHECK int config_load(const char *path, const struct config_section *sections, void *target,
                           struct config **ret, struct why *reterr_why);
void config_free(struct config *config);
AUTO_DEFINE(struct config, config_free)

/* The sections as a person reads them in a terminal, or as a part of docs/CONFIGURATION.md. */
void config_describe(const struct config_section *sections, bool markdown, struct buf *out);

#endif
