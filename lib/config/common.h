/* common.h - the sections that several programs read, described once.
 *
 * A program's struct holds one of these structs each; SECTION_BUS(struct x, field) is its row in the
 * program's table of sections.
 */
#ifndef CONFIG_COMMON_H
#define CONFIG_COMMON_H

#include "config/config.h"

struct bus_section {
    struct str brokers;
};
struct state_section {
    struct str redis; /* redis://host:port/db or unix:/path */
};
struct topology_section {
    struct config_strs regions;       /* deployed; the first is the default */
    struct str global_storage_region; /* as it was set: ask topology_storage_region() */
    int64_t partitions, replication;
};
struct history_section {
    struct str directory;
    bool accept_loss;
};
struct security_section {
    struct str master_key_file;
};
struct catalog_section {
    struct str file;
};

/* One row of `destinations`: which store a bucket lies in. */
struct destination_section {
    struct str pattern, dialect, endpoint, region, addressing, credentials_file, ca_file,
        encryption, encryption_key;
};

extern const struct option_spec bus_options[], state_options[], topology_options[],
    history_options[], security_options[], catalog_options[];
extern const struct option_group destination_group;

#define SECTION_BUS(type, field)                                                                   \
    {                                                                                              \
        "bus", bus_options, NULL, offsetof(type, field), "Kafka."                                  \
    }
#define SECTION_STATE(type, field)                                                                 \
    {                                                                                              \
        "state", state_options, NULL, offsetof(type, field), "Redis."                              \
    }
#define SECTION_TOPOLOGY(type, field)                                                              \
    {                                                                                              \
        "topology", topology_options, NULL, offsetof(type, field),                                 \
            "Regions of this deployment and their topics."                                         \
    }
#define SECTION_HISTORY(type, field)                                                               \
    {                                                                                              \
        "history", history_options, NULL, offsetof(type, field),                                   \
            "The store of 90 days that queries read."                                              \
    }
#define SECTION_SECURITY(type, field)                                                              \
    {                                                                                              \
        "security", security_options, NULL, offsetof(type, field), "Keys of the deployment."       \
    }
#define SECTION_CATALOG(type, field)                                                               \
    {                                                                                              \
        "catalog", catalog_options, NULL, offsetof(type, field), "Regions and services."           \
    }
#define SECTION_DESTINATIONS(type, field)                                                          \
    {                                                                                              \
        "destinations", NULL, &destination_group, offsetof(type, field),                           \
            "Which object store a bucket lies in; the first row whose pattern matches counts, "    \
            "and a bucket "                                                                        \
            "that no row matches does not exist."                                                  \
    }

/* Where a file of secrets lies that the settings name: a path is itself. A bare name is a credential: in the
 * folder that systemd's LoadCredential filled for us (its units say trailbus:FOLDER), else in that folder. Caller frees; NULL without
 * memory. */
#define CREDENTIALS_FOLDER "/etc/trailbus/credentials"
char *credential_path(struct str name);

#define TOPOLOGY_REGIONS_MAX                                                                       \
    48 /* what is sent to each is counted beside an offset, where there is no room for more */
/* For a program's check(). -ERR_CONFIG: no region, too many, or the one for global events is not one of them. */
MUST_CHECK int topology_check(const struct topology_section *topology, struct why *reterr_why);
/* The region whose history keeps global events: the one that was set, else the first. */
struct str topology_storage_region(const struct topology_section *topology);

#define CATALOG_FILE_SIZE_MAX (4 << 20)
/* What is to be laid over the built-in catalog, for catalog_load(): nothing when no file is named. `out` is initialised here.
 * -ERR_CONFIG. */
MUST_CHECK int catalog_read_file(const struct catalog_section *catalog, struct buf *out,
                                 struct why *reterr_why);

struct crypto_key;
/* The master key: a file of 64 hex digits. -ERR_CONFIG. */
MUST_CHECK int security_read_key(const struct security_section *security, unsigned char ret_key[32],
                                 struct why *reterr_why);

#endif
