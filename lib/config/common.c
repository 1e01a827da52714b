/* common.c - the tables of the shared sections, and the files that they name. */
#include "config/common.h"

#include <stdio.h>

const struct option_spec bus_options[] = {
    OPTION("brokers", OPTION_STR, struct bus_section, brokers, NULL,
           "Kafka's bootstrap servers, host:port, separated by commas."),
    OPTIONS_END,
};

const struct option_spec state_options[] = {
    OPTION("redis", OPTION_STR, struct state_section, redis, NULL,
           "redis://HOST:PORT/DB, or unix:/PATH."),
    OPTIONS_END,
};

const struct option_spec topology_options[] = {
    OPTION("regions", OPTION_STRS, struct topology_section, regions, NULL,
           "Regions that this deployment serves, 48 at most; the first is the default."),
    OPTION(
        "global_storage_region", OPTION_STR, struct topology_section, global_storage_region, "",
        "Region whose history keeps the events of global services (RAM, STS, sign-in); queries in "
        "every region show them. Empty: the first region. Events from before a change of it stay "
        "where they are."),
    OPTION_RANGE("partitions", struct topology_section, partitions, "12", 1, 1024,
                 "Partitions of each topic that `trailctl topics apply` creates."),
    OPTION_RANGE("replication", struct topology_section, replication, "1", 1, 7,
                 "Replicas of each partition; 3 where there are three brokers."),
    OPTIONS_END,
};

const struct option_spec history_options[] = {
    OPTION("directory", OPTION_STR, struct history_section, directory, NULL,
           "Folder of the history's files; trailbus-history writes them, the API reads them."),
    OPTION("accept_loss", OPTION_BOOL, struct history_section, accept_loss, "false",
           "Go on where records are gone from Kafka before they were read (after an outage longer "
           "than its retention); else trailbus-history stops there."),
    OPTIONS_END,
};

const struct option_spec security_options[] = {
    OPTION("master_key_file", OPTION_STR, struct security_section, master_key_file, NULL,
           "File of 64 hex digits; seals secrets and signs objects' metadata. Keep a copy. A name "
           "without "
           "/ is a credential, see docs/DEPLOYMENT.md."),
    OPTIONS_END,
};

const struct option_spec catalog_options[] = {
    OPTION("file", OPTION_STR, struct catalog_section, file, "",
           "Regions and services of your own, laid over the built-in ones (schemas/catalog)."),
    OPTIONS_END,
};

static const struct option_spec destination_options[] = {
    OPTION("pattern", OPTION_STR, struct destination_section, pattern, NULL,
           "Bucket name, with * for any run of characters."),
    OPTION("dialect", OPTION_STR, struct destination_section, dialect, "s3",
           "s3, oss, or files (on this machine). docs/DESTINATIONS.md tells what each needs."),
    OPTION("endpoint", OPTION_STR, struct destination_section, endpoint, NULL,
           "http(s)://HOST[:PORT] of the store; for files /FOLDER, in which a folder is a bucket."),
    OPTION("region", OPTION_STR, struct destination_section, region, "",
           "The region that requests are signed for; us-east-1 if s3 is not told, oss has to be."),
    OPTION(
        "addressing", OPTION_STR, struct destination_section, addressing, "",
        "path (HOST/BUCKET/KEY), s3's way if nothing is said; virtual (BUCKET.HOST/KEY), oss'; or "
        "own (HOST/KEY: the host is the bucket's)."),
    OPTION("credentials_file", OPTION_STR, struct destination_section, credentials_file, "",
           "File with the lines access_key_id=… and secret_access_key=…; a name without / is a "
           "credential. Not for files."),
    OPTION("ca_file", OPTION_STR, struct destination_section, ca_file, "",
           "Certificates to trust instead of the system's."),
    OPTION("encryption", OPTION_STR, struct destination_section, encryption, "",
           "How the store shall encrypt: AES256 or aws:kms (s3), AES256, KMS or SM4 (oss). Empty: "
           "as the "
           "bucket says."),
    OPTION("encryption_key", OPTION_STR, struct destination_section, encryption_key, "",
           "Id of the store's key for aws:kms or KMS; empty: the store's default."),
    OPTIONS_END,
};

const struct option_group destination_group = {destination_options,
                                               sizeof(struct destination_section)};

char *credential_path(struct str name)
{
    const char *given = getenv("CREDENTIALS_DIRECTORY");
    AUTO_BUF struct buf path = {0};

    buf_init(&path, 4096);
    if (memchr(name.at ? name.at : "", '/', name.len))
        buf_add_str(&path, name);
    else if (given)
        buf_addf(&path, "%s/trailbus_" STR_FMT, given, STR_ARG(name));
    else
        buf_addf(&path, CREDENTIALS_FOLDER "/" STR_FMT, STR_ARG(name));
    return buf_error(&path) ? NULL : str_dup(buf_str(&path));
}

int topology_check(const struct topology_section *topology, struct why *reterr_why)
{
    struct str storage = topology->global_storage_region;

    if (topology->regions.count == 0)
        return why_set(reterr_why, -ERR_CONFIG, "topology.regions needs at least one region");
    if (topology->regions.count > TOPOLOGY_REGIONS_MAX)
        return why_set(reterr_why, -ERR_CONFIG,
                       "topology.regions: %zu, and there cannot be more than %d",
                       topology->regions.count, TOPOLOGY_REGIONS_MAX);
    if (storage.len == 0)
        return 0;
    for (size_t i = 0; i < topology->regions.count; i++)
        if (str_eq(topology->regions.at[i], storage))
            return 0;
    return why_set(reterr_why, -ERR_CONFIG,
                   "topology.global_storage_region \"" STR_FMT "\" is not one of topology.regions",
                   STR_ARG(storage));
}

struct str topology_storage_region(const struct topology_section *topology)
{
    return topology->global_storage_region.len ? topology->global_storage_region
                                               : topology->regions.at[0];
}

int catalog_read_file(const struct catalog_section *catalog, struct buf *out,
                      struct why *reterr_why)
{
    AUTO_FREE char *path = str_dup(catalog->file);
    char chunk[4096];
    FILE *file;
    size_t len;
    int r = 0;

    buf_init(out, CATALOG_FILE_SIZE_MAX);
    if (catalog->file.len == 0)
        return 0;
    if (!path)
        return -ERR_NOMEM;
    file = fopen(path, "re");
    if (!file)
        return why_set(reterr_why, -ERR_CONFIG, "cannot read catalog.file %s: %m", path);
    while (!buf_error(out) && (len = fread(chunk, 1, sizeof(chunk), file)) > 0)
        buf_add(out, chunk, len);
    if (ferror(file))
        r = why_set(reterr_why, -ERR_CONFIG, "cannot read catalog.file %s: %m", path);
    else if (buf_error(out) == -ERR_LIMIT)
        r = why_set(reterr_why, -ERR_CONFIG, "catalog.file %s is too large", path);
    (void)fclose(file);
    return r < 0 ? r : buf_error(out);
}

int security_read_key(const struct security_section *security, unsigned char ret_key[32],
                      struct why *reterr_why)
{
    AUTO_FREE char *path = credential_path(security->master_key_file);
    FILE *file = path ? fopen(path, "re") : NULL;
    char text[80];
    size_t len;
    bool good;

    if (!file)
        return why_set(reterr_why, -ERR_CONFIG, "cannot read master_key_file %s: %m",
                       path ? path : "");
    len = fread(text, 1, sizeof(text), file);
    (void)fclose(file);
    good = len < sizeof(text) && str_hex_decode(str_trim(str_of(text, len)), ret_key, 32);
    explicit_bzero(text, sizeof(text));
    if (good)
        return 0;
    return why_set(
        reterr_why, -ERR_CONFIG,
        "master_key_file %s must hold 64 hex digits, as `openssl rand -hex 32` prints them", path);
}
