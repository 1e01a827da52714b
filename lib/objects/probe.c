/* probe.c - a bucket tried out (rule 15), step by step.
 *
 * The probe key stays in the bucket, since nothing is ever deleted: a later probe finds it there, and the first write is
 * refused as the second one must be.
 */
#include "objects/dialect_door.h"

#define PROBE_BODY STR("trailbus")

struct probing {
    struct http *http;
    const struct objects_store *store;
    int64_t now_s;
    char *bucket;
    struct buf key;
    enum objects_step step;
    objects_probed_fn *done;
    void *arg;
};

static void probing_free(struct probing *p)
{
    if (!p)
        return;
    free(p->bucket);
    buf_done(&p->key);
    free(p);
}
AUTO_DEFINE(struct probing, probing_free)

static void on_step(void *arg, const struct objects_result *result);

static int begin_step(struct probing *p)
{
    struct str bucket = str_from(p->bucket), key = buf_str(&p->key);

    switch (p->step) {
    case OBJECTS_STEP_VERSIONING:
        return objects_versioning(p->http, p->store, p->now_s, bucket, on_step, p);
    case OBJECTS_STEP_LIST:
        return objects_list(p->http, p->store, p->now_s, bucket, key, STR_NONE, STR_NONE, on_step,
                            p);
    case OBJECTS_STEP_WRITE:
    case OBJECTS_STEP_WRITE_AGAIN:
        return objects_put(p->http, p->store, p->now_s, bucket, key, PROBE_BODY, NULL, 0, on_step,
                           p);
    default:
        return objects_head(p->http, p->store, p->now_s, bucket, key, NULL, on_step, p);
    }
}

static void finish(struct probing *probing, const struct objects_probe *probe)
{
    AUTO(probing_free) struct probing *p = probing;

    p->done(p->arg, probe);
}

static bool step_passed(struct probing *p, enum objects_outcome outcome)
{
    if (p->step == OBJECTS_STEP_WRITE && outcome == OBJECTS_EXISTS)
        p->step = OBJECTS_STEP_WRITE_AGAIN; /* that was it */
    return outcome == (p->step == OBJECTS_STEP_WRITE_AGAIN ? OBJECTS_EXISTS : OBJECTS_OK);
}

static void on_step(void *arg, const struct objects_result *result)
{
    struct probing *p = arg;
    struct objects_probe probe = {result->outcome, p->step, result->fault, result->why};

    if (step_passed(p, result->outcome)) {
        p->step++;
        if (p->step == OBJECTS_STEP_DONE) {
            finish(p, &(struct objects_probe){.step = OBJECTS_STEP_DONE});
            return;
        }
        if (begin_step(p) == 0)
            return;
        probe = (struct objects_probe){.outcome = OBJECTS_UNCLEAR,
                                       .step = p->step,
                                       .fault = OBJECTS_FAULT_OTHER,
                                       .why = {"too many requests under way"}};
    } else if (result->outcome == OBJECTS_OK) {
        probe.outcome = OBJECTS_REFUSED;
        probe.fault = OBJECTS_FAULT_OVERWRITES;
        (void)why_set(&probe.why, 0,
                      "%s: the store lets objects be overwritten, although asked not to",
                      p->bucket);
    }
    finish(p, &probe);
}

int objects_probe_begin(struct http *http, const struct objects_store *store, int64_t now_s,
                        struct str bucket, struct str prefix, objects_probed_fn *done, void *arg)
{
    AUTO(probing_free) struct probing *p = calloc(1, sizeof(*p));
    int r;

    if (!p)
        return -ERR_NOMEM;
    *p = (struct probing){.http = http,
                          .store = store,
                          .now_s = now_s,
                          .bucket = str_dup(bucket),
                          .step = OBJECTS_STEP_VERSIONING,
                          .done = done,
                          .arg = arg};
    buf_init(&p->key, OBJECT_KEY_SIZE_MAX);
    buf_addf(&p->key, STR_FMT "%sAliyunLogs/trailbus-probe", STR_ARG(prefix),
             prefix.len ? "/" : "");
    if (!p->bucket || buf_error(&p->key))
        return -ERR_NOMEM;
    r = begin_step(p);
    if (r == 0)
        p = NULL;
    return r;
}

struct waiting {
    bool done;
    struct objects_probe probe;
};

static void on_waited(void *arg, const struct objects_probe *probe)
{
    *(struct waiting *)arg = (struct waiting){true, *probe};
}

enum objects_outcome objects_probe(const struct objects_store *store, int64_t now_s,
                                   struct str bucket, struct str prefix, struct objects_probe *ret)
{
    AUTO(http_free) struct http *http = http_new();
    struct waiting waiting = {
        .probe = {.outcome = OBJECTS_UNCLEAR, .fault = OBJECTS_FAULT_OTHER, .why = {"no memory"}}};

    if (http && objects_probe_begin(http, store, now_s, bucket, prefix, on_waited, &waiting) == 0)
        while (!waiting.done)
            http_poll(http, NULL, 0, 1000);
    *ret = waiting.probe;
    return ret->outcome;
}
