/* A configuration file: read into the settings, or refused with a sentence that names the file.
 *
 * links: config
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/common.h"
#include "fuzz.h"

/* libconfig 1.5 forgets a little where the syntax is wrong; the program exits then. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig\n";
}

struct program {
    struct bus_section bus;
    struct topology_section topology;
    struct history_section history;
    struct config_groups destinations;
};

static const struct config_section sections[] = {
    SECTION_BUS(struct program, bus),
    SECTION_TOPOLOGY(struct program, topology),
    SECTION_HISTORY(struct program, history),
    SECTION_DESTINATIONS(struct program, destinations),
    SECTIONS_END,
};

static void check_strs(const struct config_strs *strs)
{
    CHECK(strs->count <= CONFIG_STRS_MAX);
    for (size_t i = 0; i < strs->count; i++)
        CHECK(strs->at[i].at);
}

static void check_program(const struct program *p)
{
    const struct destination_section *rows = p->destinations.at;

    CHECK(p->bus.brokers.at && p->history.directory.at);
    CHECK(p->topology.partitions >= 1 && p->topology.partitions <= 1024);
    check_strs(&p->topology.regions);
    for (size_t i = 0; i < p->destinations.count; i++)
        CHECK(rows[i].pattern.at && rows[i].endpoint.at && rows[i].ca_file.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    AUTO(config_free) struct config *config = NULL;
    struct program program = {0};
    struct why why = {0};
    char path[64];
    int fd, r;

    if (str_find(fuzz_input(at, len), STR("@include"), NULL))
        return 0; /* would read other files */
    fd = memfd_create("fuzz", MFD_CLOEXEC);
    CHECK(fd >= 0 && write(fd, at, len) == (ssize_t)len);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    r = config_load(path, sections, &program, &config, &why);
    (void)close(fd);
    CHECK(r == 0 || (r == -ERR_CONFIG && str_starts(str_from(why.text), str_from(path))));
    if (r == 0)
        check_program(&program);
    return 0;
}
