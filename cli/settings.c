/* settings.c - the environment and profiles. */
#include "cli/settings.h"

#include <stdio.h>

#include "topology/topology.h"

static bool name_valid(struct str name)
{
    if (name.len == 0 || (name.at[0] >= '0' && name.at[0] <= '9'))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];

        if (!(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
            c != '_')
            return false;
    }
    return true;
}

static bool unquote(struct str *value)
{
    char quote = value->len ? value->at[0] : '\0';

    if (quote != '"' && quote != '\'')
        return true;
    if (value->len < 2 || value->at[value->len - 1] != quote)
        return false;
    *value = str_of(value->at + 1, value->len - 2);
    return true;
}

int profile_parse(char *text, struct profile *ret, struct why *reterr_why)
{
    struct str rest = str_from(text), line;

    *ret = (struct profile){.text = text};
    for (int number = 1; str_split(&rest, '\n', &line); number++) {
        struct str value = str_trim(line), name;

        if (value.len == 0 || value.at[0] == '#')
            continue;
        if (ret->count == PROFILE_LINES_MAX)
            return why_set(reterr_why, -ERR_INVALID, "line %d: more than %d settings", number,
                           PROFILE_LINES_MAX);
        if (!str_split(&value, '=', &name) || !value.at || !name_valid(name) || !unquote(&value))
            return why_set(reterr_why, -ERR_INVALID, "line %d: a line must be NAME=value", number);
        ret->lines[ret->count].name = name;
        ret->lines[ret->count++].value = value;
    }
    return 0;
}

void profile_done(struct profile *profile)
{
    free(profile->text);
    *profile = (struct profile){0};
}

static bool profile_get(const struct profile *profile, struct str name, struct str *ret)
{
    for (size_t i = profile->count; i-- > 0;) {
        if (!str_eq(profile->lines[i].name, name))
            continue;
        *ret = profile->lines[i].value;
        return true;
    }
    return false;
}

/* ---- files ------------------------------------------------------------------------------------- */

static char *profile_path(struct str name)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    AUTO_BUF struct buf path = {0};

    buf_init(&path, 4096);
    if (config && *config)
        buf_addf(&path, "%s", config);
    else if (home && *home)
        buf_addf(&path, "%s/.config", home);
    else
        return NULL;
    buf_addf(&path, "/trailbus/" STR_FMT, STR_ARG(name));
    return buf_error(&path) ? NULL : str_dup(buf_str(&path));
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text;
    size_t len;

    if (!file)
        return NULL;
    text = malloc(PROFILE_SIZE_MAX);
    len = text ? fread(text, 1, PROFILE_SIZE_MAX - 1, file) : 0;
    (void)fclose(file);
    if (text)
        text[len] = '\0';
    return text;
}

int settings_open(struct str profile, struct settings *ret, struct why *reterr_why)
{
    AUTO_FREE char *path = NULL;
    struct why why = {0};
    char *text;

    *ret = (struct settings){.first = profile.len > 0};
    if (memchr(profile.at ? profile.at : "", '/', profile.len))
        return why_set(reterr_why, -ERR_CONFIG, "--profile takes a name, not a path");
    path = profile_path(profile.len ? profile : STR("default"));
    text = path ? read_file(path) : NULL;
    if (!text)
        return ret->first ? why_set(reterr_why, -ERR_CONFIG, "cannot read the profile %s: %m",
                                    path ? path : "(HOME is not set)")
                          : 0;
    if (profile_parse(text, &ret->profile, &why) < 0)
        return why_set(reterr_why, -ERR_CONFIG, "%s, %s", path, why.text);
    return 0;
}

void settings_done(struct settings *settings)
{
    profile_done(&settings->profile);
}

struct str settings_get(const struct settings *settings, const char *name)
{
    struct str from_profile = STR(""), from_environment = str_from(getenv(name));

    (void)profile_get(&settings->profile, str_from(name), &from_profile);
    if (settings->first)
        return from_profile.len ? from_profile : from_environment;
    return from_environment.len ? from_environment : from_profile;
}

int settings_need(const struct settings *settings, const char *name, struct str *ret,
                  struct why *reterr_why)
{
    *ret = settings_get(settings, name);
    if (ret->len == 0)
        return why_set(
            reterr_why, -ERR_CONFIG,
            "%s is not set: export it (`set -a; . run/trailbus.env` for the local stack), "
            "or write it into the profile ~/.config/trailbus/default",
            name);
    return 0;
}

int settings_api(const struct settings *settings, struct str region, struct str *ret,
                 struct why *reterr_why)
{
    char name[sizeof("TRAILBUS_API_") + REGION_SIZE_MAX];
    struct str regions = settings_get(settings, "TRAILBUS_REGIONS"), first = STR("");
    size_t len = sizeof("TRAILBUS_API_") - 1;

    if (region.len == 0)
        return settings_need(settings, "TRAILBUS_API", ret, reterr_why);
    if (!region_valid(region))
        return why_set(reterr_why, -ERR_CONFIG, "\"" STR_FMT "\" is no region, as cn-hangzhou is",
                       STR_ARG(region));
    memcpy(name, "TRAILBUS_API_", len);
    for (size_t i = 0; i < region.len; i++) {
        char c = region.at[i];

        name[len++] = c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    name[len] = '\0';
    *ret = settings_get(settings, name);
    if (ret->len)
        return 0;
    /* The default address serves the default region: asked for another, it would answer, wrongly. */
    if (str_split(&regions, ' ', &first) && !str_eq(first, region))
        return why_set(reterr_why, -ERR_CONFIG,
                       "no API is known for " STR_FMT ": set %s to its address", STR_ARG(region),
                       name);
    return settings_need(settings, "TRAILBUS_API", ret, reterr_why);
}
