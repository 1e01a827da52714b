/* catalog.h - regions and services: which events are recorded, where, and as what.
 *
 * Built from the JSON files in schemas/catalog, which is part of the program, and an operator's file of the same
 * form laid over it. Immutable once loaded; lookups allocate nothing.
 *
 * Layer: pure (the caller reads the operator's file). DEPS base, jsondoc.
 */
#ifndef CATALOG_CATALOG_H
#define CATALOG_CATALOG_H

#include "base/base.h"

#define CATALOG_SERVICES_MAX 4096
#define CATALOG_REGIONS_MAX  512
#define CATALOG_NAMES_MAX    1024 /* in one list of a rule */

struct catalog;
struct catalog_service;

struct catalog_region {
    struct str id, name, partition;
    struct str topic_region; /* where its events are recorded */
    bool deployed;
};

enum catalog_verdict {
    CATALOG_RECORDED,
    CATALOG_DATA_EVENT,         /* not a management event: dropped */
    CATALOG_UNSUPPORTED_REGION, /* the service is not recorded there: dropped */
};

/* `overlay` may be STR_NONE. -ERR_CONFIG with what is wrong in it; -ERR_NOMEM. */
MUST_CHECK int catalog_load(struct str overlay, struct catalog **ret, struct why *reterr_why);
void catalog_free(struct catalog *catalog);
AUTO_DEFINE(struct catalog, catalog_free)

/* NULL: nobody knows it. */
const struct catalog_region *catalog_region(const struct catalog *catalog, struct str id);
size_t catalog_region_count(const struct catalog *catalog);
const struct catalog_region *catalog_region_at(const struct catalog *catalog, size_t i);
const struct catalog_service *catalog_service(const struct catalog *catalog, struct str code);
size_t catalog_service_count(const struct catalog *catalog); /* codes */

bool catalog_global(const struct catalog_service *service);
enum catalog_verdict catalog_judge(const struct catalog_service *service, struct str event_name,
                                   struct str acs_region);
/* Whether an event only reads; `service` may be NULL: then the verb decides. */
bool catalog_reads(const struct catalog_service *service, struct str event_name);

#endif
