/* config.c - the tables against the file: every setting found, in range, and nothing unknown. */
#include "config/config.h"

#include <stdio.h>

#include <libconfig.h>

struct config {
    config_t file;
    void *groups[CONFIG_GROUPS_MAX]; /* arrays that were made */
    size_t group_count;
};

/* Sections of all programs: what is none of these is a typing error. */
static const char *const section_names[] = {
    "bus",      "state", "topology", "security",   "destinations", "catalog", "history",
    "delivery", "api",   "insight",  "normalizer", "router",       "watch",
};

struct reading {
    struct config *config;
    const char *path;
    struct why *why;
};

static int wrong(const struct reading *in, const config_setting_t *at, const char *text)
{
    const char *name = config_setting_name(at);

    return why_set(in->why, -ERR_CONFIG, "%s:%u: %s%s%s", in->path,
                   (unsigned)config_setting_source_line(at), name ? name : "", name ? " " : "",
                   text);
}

/* How many bytes to change, add or drop (Levenshtein), for "did you mean". */
static size_t distance(const char *a, const char *b)
{
    size_t row[64], bl = strlen(b);

    if (bl >= ARRAY_LEN(row))
        return SIZE_MAX;
    for (size_t j = 0; j <= bl; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < bl; j++) {
            size_t above = row[j + 1];
            size_t edited = MIN_OF(above, row[j]) + 1;
            size_t best = MIN_OF(edited, diagonal + (a[i] != b[j]));

            row[j + 1] = best;
            diagonal = above;
        }
    }
    return row[bl];
}

struct guess {
    const char *name;
    size_t distance;
};

static void guess_add(struct guess *guess, const char *wanted, const char *name)
{
    size_t d = distance(wanted, name);

    if (d < guess->distance)
        *guess = (struct guess){name, d};
}

static int unknown(const struct reading *in, const config_setting_t *at, const struct guess *guess)
{
    char text[128];

    if (guess->name && guess->distance <= 3)
        (void)snprintf(text, sizeof(text), "is no setting; did you mean %s?", guess->name);
    else
        (void)snprintf(text, sizeof(text), "is no setting");
    return wrong(in, at, text);
}

static const struct option_spec *option_find(const struct option_spec *options, const char *name)
{
    for (; options->name; options++)
        if (strcmp(options->name, name) == 0)
            return options;
    return NULL;
}

static int read_options(const struct reading *in, const char *section,
                        const config_setting_t *group, const struct option_spec *options,
                        void *target);

static int read_int(const struct reading *in, const config_setting_t *at,
                    const struct option_spec *option, int64_t *ret)
{
    int type = config_setting_type(at);
    char text[128];

    if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
        return wrong(in, at, "must be a whole number");
    *ret = config_setting_get_int64(at);
    if (*ret >= option->min && *ret <= option->max)
        return 0;
    (void)snprintf(text, sizeof(text), "must be between %lld and %lld", (long long)option->min,
                   (long long)option->max);
    return wrong(in, at, text);
}

static int read_strs(const struct reading *in, const config_setting_t *at, struct config_strs *ret)
{
    if (!config_setting_is_array(at) && !config_setting_is_list(at))
        return wrong(in, at, "must be a list of strings: [\"…\", \"…\"]");
    for (int i = 0; i < config_setting_length(at); i++) {
        const char *s = config_setting_get_string_elem(at, i);

        if (!s)
            return wrong(in, at, "must be a list of strings: [\"…\", \"…\"]");
        if (ret->count == CONFIG_STRS_MAX)
            return wrong(in, at, "has too many entries");
        ret->at[ret->count++] = str_from(s);
    }
    return 0;
}

static int read_groups(const struct reading *in, const config_setting_t *at,
                       const struct option_group *group, struct config_groups *ret)
{
    int count = config_setting_length(at);
    char *entries;

    if (!config_setting_is_list(at))
        return wrong(in, at, "must be a list of groups: ( { … }, { … } )");
    if (count > CONFIG_GROUPS_MAX || in->config->group_count == CONFIG_GROUPS_MAX)
        return wrong(in, at, "has too many entries");
    entries = calloc((size_t)count + 1, group->size);
    if (!entries)
        return -ERR_NOMEM;
    in->config->groups[in->config->group_count++] = entries;
    for (int i = 0; i < count; i++) {
        const config_setting_t *entry = config_setting_get_elem(at, (unsigned)i);
        int r;

        if (!config_setting_is_group(entry))
            return wrong(in, at, "must be a list of groups: ( { … }, { … } )");
        r = read_options(in, config_setting_name(at), entry, group->options,
                         entries + (size_t)i * group->size);
        if (r < 0)
            return r;
    }
    *ret = (struct config_groups){entries, (size_t)count};
    return 0;
}

static int read_option(const struct reading *in, const config_setting_t *at,
                       const struct option_spec *option, void *target)
{
    void *field = (char *)target + option->offset;

    switch (option->type) {
    case OPTION_STR:
        if (config_setting_type(at) != CONFIG_TYPE_STRING)
            return wrong(in, at, "must be a string: \"…\"");
        *(struct str *)field = str_from(config_setting_get_string(at));
        return 0;
    case OPTION_INT:
        return read_int(in, at, option, field);
    case OPTION_BOOL:
        if (config_setting_type(at) != CONFIG_TYPE_BOOL)
            return wrong(in, at, "must be true or false");
        *(bool *)field = config_setting_get_bool(at);
        return 0;
    case OPTION_STRS:
        return read_strs(in, at, field);
    case OPTION_GROUPS:
        return read_groups(in, at, option->group, field);
    }
    return -ERR_BUG;
}

/* A default is written as the table says it, so that what is documented is what happens. */
static int set_fallback(const struct reading *in, const char *section,
                        const config_setting_t *group, const struct option_spec *option,
                        void *target)
{
    void *field = (char *)target + option->offset;

    if (!option->fallback && !group)
        return why_set(in->why, -ERR_CONFIG, "%s: %s lacks the setting %s: %s", in->path, section,
                       option->name, option->help);
    if (!option->fallback)
        return why_set(in->why, -ERR_CONFIG, "%s:%u: %s lacks the setting %s: %s", in->path,
                       (unsigned)config_setting_source_line(group), section, option->name,
                       option->help);
    if (option->type == OPTION_STR)
        *(struct str *)field = str_from(option->fallback);
    else if (option->type == OPTION_INT)
        CHECK(str_to_i64(str_from(option->fallback), field));
    else if (option->type == OPTION_BOOL)
        *(bool *)field = strcmp(option->fallback, "true") == 0;
    return 0;
}

static int check_known(const struct reading *in, const config_setting_t *group,
                       const struct option_spec *options)
{
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *at = config_setting_get_elem(group, (unsigned)i);
        struct guess guess = {NULL, SIZE_MAX};

        if (option_find(options, config_setting_name(at)))
            continue;
        for (const struct option_spec *o = options; o->name; o++)
            guess_add(&guess, config_setting_name(at), o->name);
        return unknown(in, at, &guess);
    }
    return 0;
}

/* `section`: its name, for sentences; `group` is NULL when the file has none. */
static int read_options(const struct reading *in, const char *section,
                        const config_setting_t *group, const struct option_spec *options,
                        void *target)
{
    int r = group ? check_known(in, group, options) : 0;

    for (const struct option_spec *o = options; r == 0 && o->name; o++) {
        const config_setting_t *at = group ? config_setting_get_member(group, o->name) : NULL;

        r = at ? read_option(in, at, o, target) : set_fallback(in, section, group, o, target);
    }
    return r;
}

static int read_section(const struct reading *in, const struct config_section *section,
                        void *target)
{
    const config_setting_t *at = config_lookup(&in->config->file, section->name);
    void *field = (char *)target + section->offset;

    if (section->group)
        return at ? read_groups(in, at, section->group, field) : 0;
    if (at && !config_setting_is_group(at))
        return wrong(in, at, "must be a group: { … }");
    return read_options(in, section->name, at, section->options, field);
}

static int check_sections(const struct reading *in)
{
    const config_setting_t *root = config_root_setting(&in->config->file);

    for (int i = 0; i < config_setting_length(root); i++) {
        const config_setting_t *at = config_setting_get_elem(root, (unsigned)i);
        struct guess guess = {NULL, SIZE_MAX};

        for (size_t j = 0; j < ARRAY_LEN(section_names); j++)
            guess_add(&guess, config_setting_name(at), section_names[j]);
        if (guess.distance != 0)
            return unknown(in, at, &guess);
    }
    return 0;
}

int config_load(const char *path, const struct config_section *sections, void *target,
                struct config **ret, struct why *reterr_why)
{
    AUTO(config_free) struct config *config = calloc(1, sizeof(*config));
    struct reading in = {config, path, reterr_why};
    int r;

    if (!config)
        return -ERR_NOMEM;
    config_init(&config->file);
    if (config_read_file(&config->file, path) != CONFIG_TRUE) {
        if (config_error_type(&config->file) == CONFIG_ERR_FILE_IO)
            return why_set(reterr_why, -ERR_CONFIG, "cannot read %s: %m", path);
        return why_set(reterr_why, -ERR_CONFIG, "%s:%d: %s", path, config_error_line(&config->file),
                       config_error_text(&config->file));
    }
    r = check_sections(&in);
    for (; r == 0 && sections->name; sections++)
        r = read_section(&in, sections, target);
    if (r < 0)
        return r;
    *ret = config;
    config = NULL;
    return 0;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->group_count; i++)
        free(config->groups[i]);
    config_destroy(&config->file);
    free(config);
}

/* ---- describing -------------------------------------------------------------------------------- */

static const char *type_name(const struct option_spec *o)
{
    static const char *const names[] = {"string", "number", "true or false", "list of strings",
                                        "list of groups"};

    return names[o->type];
}

static void describe_options(const struct option_spec *options, bool markdown, const char *indent,
                             struct buf *out)
{
    for (const struct option_spec *o = options; o->name; o++) {
        const char *fallback = !o->fallback ? "required" : *o->fallback ? o->fallback : "empty";

        if (markdown)
            buf_addf(out, "| %s`%s` | %s | %s | %s |\n", indent, o->name, type_name(o), fallback,
                     o->help);
        else
            buf_addf(out, "%s  %-26s %s (%s; %s)\n", indent, o->name, o->help, type_name(o),
                     fallback);
        if (o->group)
            describe_options(o->group->options, markdown, markdown ? "… " : "    ", out);
    }
}

void config_describe(const struct config_section *sections, bool markdown, struct buf *out)
{
    for (const struct config_section *s = sections; s->name; s++) {
        const char *form = s->group ? " = ( { … }, … )" : ": { … }";

        if (markdown)
            buf_addf(
                out,
                "### `%s%s`\n\n%s\n\n| setting | type | default | |\n| --- | --- | --- | --- |\n",
                s->name, form, s->help);
        else
            buf_addf(out, "%s%s  %s\n", s->name, form, s->help);
        describe_options(s->group ? s->group->options : s->options, markdown, "", out);
        buf_add_byte(out, '\n');
    }
}
