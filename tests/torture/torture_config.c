/* The configuration: read as it was written, or refused; never the half of it.
 *
 * links: config
 */
#include "faults.h"

#include <stdio.h>
#include <unistd.h>

#include "config/common.h"

struct program {
    struct bus_section bus;
    struct config_groups destinations;
    struct catalog_section catalog;
    struct security_section security;
};

static const struct config_section sections[] = {
    SECTION_BUS(struct program, bus),
    SECTION_DESTINATIONS(struct program, destinations),
    SECTIONS_END,
};

static char path[64];

/* A file with such a text, as an editor has left it. */
static void write_file(const char *text)
{
    FILE *file;

    fault_pause(true);
    (void)snprintf(path, sizeof(path), "%s/trailbus-torture.%d", torture_folder(), getpid());
    file = fopen(path, "we");
    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
    fault_pause(false);
}

static int load(struct program *program)
{
    AUTO(config_free) struct config *config = NULL;
    int r = config_load(path, sections, program, &config, NULL);
    const struct destination_section *rows = program->destinations.at;

    if (r < 0)
        return r;
    note_str("brokers", program->bus.brokers);
    note("%zu destinations", program->destinations.count);
    for (size_t i = 0; i < program->destinations.count; i++) {
        note_str("bucket", rows[i].pattern);
        note_str("endpoint", rows[i].endpoint);
    }
    return 0;
}

static int configuration(void)
{
    struct program program = {0}, again = {0};
    int r;

    write_file(
        "bus: { brokers = \"127.0.0.1:1\"; };\n"
        "destinations: ( { pattern = \"a-*\"; dialect = \"files\"; endpoint = \"/srv\"; },\n"
        "                { pattern = \"*\"; dialect = \"files\"; endpoint = \"/other\"; } );\n");
    r = load(&program);
    if (r == -ERR_NOMEM && fault_over())
        r = load(&again);
    (void)unlink(path);
    return r;
}

/* More than is read at once. */
static int catalog_file(void)
{
    struct catalog_section section;
    AUTO_BUF struct buf text = {0};
    char lines[9000];
    int r;

    memset(lines, ' ', sizeof(lines));
    (void)snprintf(lines + sizeof(lines) - 3, 3, "{}");
    write_file(lines);
    section = (struct catalog_section){.file = str_from(path)};
    r = catalog_read_file(&section, &text, NULL);
    if (r == 0)
        note_str("text", buf_str(&text));
    (void)unlink(path);
    return r;
}

static int master_key(void)
{
    struct security_section section;
    unsigned char key[32] = {0};
    int r;

    write_file("000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f\n");
    section = (struct security_section){.master_key_file = str_from(path)};
    r = security_read_key(&section, key, NULL);
    if (r == 0)
        note("key %02x %02x", key[1], key[31]);
    (void)unlink(path);
    return r;
}

TORTURE({"configuration", configuration, 0}, {"catalog's file", catalog_file, 0},
        {"master key", master_key, 0})
