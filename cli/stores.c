/* stores.c - see stores.h. */
#include "cli/stores.h"

static const struct config_section sections[] = {
    SECTION_DESTINATIONS(struct stores, destinations),
    SECTIONS_END,
};

int stores_open(struct cli *cli, const struct deployment *deployment, struct stores *ret,
                struct why *reterr_why)
{
    struct crypto_key master = {0};
    int r;

    *ret = (struct stores){.http = http_new()};
    if (!ret->http)
        return -ERR_NOMEM;
    if ((r = deployment_load(cli, sections, ret, &ret->file, reterr_why)) < 0 ||
        (r = objects_open(&ret->destinations, &ret->objects, reterr_why)) < 0 ||
        (r = deployment_master_key(deployment, &master, reterr_why)) < 0)
        return r;
    ret->hmac_key = object_meta_key(&master);
    crypto_wipe(&master, sizeof(master));
    ret->calls = (struct store_calls){ret->http, ret->objects, &ret->hmac_key};
    return 0;
}

void stores_close(struct stores *stores)
{
    http_free(stores->http);
    objects_free(stores->objects);
    config_free(stores->file);
    crypto_wipe(&stores->hmac_key, sizeof(stores->hmac_key));
    *stores = (struct stores){0};
}
