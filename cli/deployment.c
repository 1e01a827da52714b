/* deployment.c - the deployment's configuration, and changes of `control` in transactions. */
#include "cli/deployment.h"

#include <stdio.h>

#define CONTROL_TIMEOUT_MS 30000
#define FENCE_TIMEOUT_MS   30000 /* a fresh Kafka first makes the log of transactions */
#define COMMIT_TIMEOUT_MS  30000
#define DEFAULT_PATH       "/etc/trailbus/trailbus.conf" /* as of every program */
#define TRANSACTIONAL_ID   "trailbus-operator"

static const struct config_section sections[] = {
    SECTION_BUS(struct deployment_config, bus),
    SECTION_STATE(struct deployment_config, state),
    SECTION_TOPOLOGY(struct deployment_config, topology),
    SECTION_SECURITY(struct deployment_config, security),
    SECTIONS_END,
};

static int check(const struct deployment_config *config, struct why *reterr_why)
{
    const struct config_strs *regions = &config->topology.regions;

    if (regions->count == 0)
        return why_set(reterr_why, -ERR_CONFIG, "topology.regions is empty");
    if (regions->count > TOPOLOGY_REGIONS_MAX)
        return why_set(reterr_why, -ERR_CONFIG,
                       "topology.regions: %zu, and there cannot be more than %d", regions->count,
                       TOPOLOGY_REGIONS_MAX);
    for (size_t i = 0; i < regions->count; i++)
        if (!region_valid(regions->at[i]))
            return why_set(reterr_why, -ERR_CONFIG,
                           "topology.regions: \"" STR_FMT "\" is no region, as cn-hangzhou is",
                           STR_ARG(regions->at[i]));
    return 0;
}

int deployment_load(struct cli *cli, const struct config_section *wanted, void *target,
                    struct config **ret, struct why *reterr_why)
{
    struct str path =
        args_text(&cli->args, "config", settings_get(&cli->settings, "TRAILBUS_CONFIG"));
    bool named = path.len > 0;
    struct why why = {0};
    int r = config_load(named ? path.at : DEFAULT_PATH, wanted, target, ret, &why);

    return r < 0 ? why_set(reterr_why, r, "%s%s", why.text,
                           named ? "" : "; --config FILE or TRAILBUS_CONFIG names another one")
                 : 0;
}

int deployment_open(struct cli *cli, struct deployment *ret, struct why *reterr_why)
{
    int r;

    *ret = (struct deployment){0};
    r = deployment_load(cli, sections, &ret->config, &ret->file, reterr_why);
    if (r == 0)
        r = check(&ret->config, reterr_why);
    ret->bus = (struct bus_settings){ret->config.bus.brokers, STR("trailctl")};
    return r;
}

void deployment_close(struct deployment *deployment)
{
    config_free(deployment->file);
    *deployment = (struct deployment){0};
}

int deployment_master_key(const struct deployment *deployment, struct crypto_key *ret,
                          struct why *reterr_why)
{
    return security_read_key(&deployment->config.security, ret->bytes, reterr_why);
}

int deployment_partitions(const struct deployment *deployment, struct bus_admin *admin,
                          const struct topic_name *topic, int32_t *ret, struct why *reterr_why)
{
    struct why why = {0};
    int r = bus_admin_partitions(admin, topic->text, ret, &why);

    if (r == -ERR_NOT_FOUND) {
        *ret = 0;
        return 0;
    }
    if (err_class(r) == ERR_CLASS_RETRY)
        return why_set(reterr_why, r, "Kafka at " STR_FMT " does not answer; is it running? (%s)",
                       STR_ARG(deployment->bus.brokers), why.text);
    return r < 0 ? why_set(reterr_why, r, "%s", why.text) : 0;
}

/* ---- transactions ------------------------------------------------------------------------------ */

static int take_fence(struct bus_producer *producer, struct why *reterr_why)
{
    int64_t deadline_ms = bus_clock_ms() + FENCE_TIMEOUT_MS;
    int r;

    do {
        int64_t left_ms = MAX_OF(deadline_ms - bus_clock_ms(), (int64_t)1000);

        r = bus_transactions_init(producer, (int)left_ms, reterr_why);
    } while (r < 0 && r != -ERR_FENCED && err_class(r) == ERR_CLASS_RETRY &&
             bus_clock_ms() < deadline_ms);
    return r;
}

int deployment_fence(const struct deployment *deployment, const char *transactional_id,
                     int timeout_ms, struct bus_producer **ret, struct why *reterr_why)
{
    AUTO(bus_producer_close) struct bus_producer *producer = NULL;
    int r =
        bus_producer_open(&deployment->bus, transactional_id, timeout_ms, &producer, reterr_why);

    if (r == 0)
        r = take_fence(producer, reterr_why);
    if (r < 0)
        return r;
    *ret = producer;
    producer = NULL;
    return 0;
}

int deployment_commit(struct bus_producer *producer, struct why *reterr_why)
{
    int64_t deadline_ms = bus_clock_ms() + COMMIT_TIMEOUT_MS;
    int r;

    do
        r = bus_commit(producer, COMMIT_TIMEOUT_MS, reterr_why);
    while (r == -ERR_TIMEOUT && bus_clock_ms() < deadline_ms);
    return r;
}

/* ---- control ----------------------------------------------------------------------------------- */

static int control_there(const struct deployment *deployment, struct why *reterr_why)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    struct topic_name topic = topic_name(TOPIC_CONTROL, STR_NONE);
    int32_t partitions;
    int r = bus_admin_open(&deployment->bus, &admin, reterr_why);

    if (r == 0)
        r = deployment_partitions(deployment, admin, &topic, &partitions, reterr_why);
    if (r == 0 && !partitions)
        r = why_set(reterr_why, -ERR_CONFIG,
                    "there is no topic %s yet: run `trailctl topics apply`", topic.text);
    return r;
}

/* What cannot be read is said, and keeps nobody from the rest. */
static int apply_record(void *arg, const struct bus_record *record)
{
    struct why why = {0};
    int r = control_apply(arg, record->key, record->value, record->tombstone, &why);

    if (r != 0)
        (void)fprintf(stderr, "%s\n", why.text);
    return r == -ERR_NOMEM || r == -ERR_LIMIT ? r : 0;
}

int control_view(const struct deployment *deployment, struct control **ret, struct why *reterr_why)
{
    AUTO(control_free) struct control *control = control_new();
    struct topic_name topic = topic_name(TOPIC_CONTROL, STR_NONE);
    int64_t next;
    int r;

    if (!control)
        return -ERR_NOMEM;
    r = control_there(deployment, reterr_why);
    if (r == 0)
        r = bus_read_to_end(&deployment->bus, topic.text, 0, 0, CONTROL_TIMEOUT_MS, apply_record,
                            control, &next, reterr_why);
    if (r < 0)
        return r;
    *ret = control;
    control = NULL;
    return 0;
}

/* ---- the pen ----------------------------------------------------------------------------------- */

struct control_pen {
    struct bus_producer *producer;
    struct control *view;
    bool begun; /* a transaction */
};

int control_pen_open(const struct deployment *deployment, struct control_pen **ret,
                     struct why *reterr_why)
{
    AUTO(control_pen_close) struct control_pen *pen = calloc(1, sizeof(*pen));
    int r;

    if (!pen)
        return -ERR_NOMEM;
    r = control_there(deployment, reterr_why);
    if (r == 0)
        r = deployment_fence(deployment, TRANSACTIONAL_ID, 0, &pen->producer, reterr_why);
    if (r == 0)
        r = control_view(deployment, &pen->view, reterr_why);
    if (r < 0)
        return r;
    *ret = pen;
    pen = NULL;
    return 0;
}

void control_pen_close(struct control_pen *pen)
{
    if (!pen)
        return;
    if (pen->begun) /* the next holder of the fence would wait for it otherwise */
        (void)!bus_abort(pen->producer, COMMIT_TIMEOUT_MS, NULL);
    bus_producer_close(pen->producer);
    control_free(pen->view);
    free(pen);
}

const struct control *control_pen_view(const struct control_pen *pen)
{
    return pen->view;
}

int control_pen_write(struct control_pen *pen, struct str key, struct str value,
                      struct why *reterr_why)
{
    struct topic_name topic = topic_name(TOPIC_CONTROL, STR_NONE);
    int r = pen->begun ? 0 : bus_begin(pen->producer, reterr_why);

    if (r < 0)
        return r;
    pen->begun = true;
    r = bus_producer_write(pen->producer, topic.text, 0, key, value, NULL, 0, NULL);
    return r < 0 ? why_set(reterr_why, r, "cannot write to %s", topic.text) : 0;
}

int control_pen_commit(struct control_pen *pen, struct why *reterr_why)
{
    int r;

    if (!pen->begun)
        return 0;
    r = deployment_commit(pen->producer, reterr_why);
    pen->begun = r == -ERR_ABORTED || r == -ERR_TIMEOUT;
    if (r == -ERR_FENCED)
        return why_set(reterr_why, r,
                       "somebody else changed the deployment at the same time: nothing was done, "
                       "run it again");
    return r;
}
