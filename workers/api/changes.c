/* changes.c - a change of a trail, as one transaction over the logs that it changes. */
#include "changes.h"

#include <stdio.h>

#include "daemon/daemon.h"
#include "log/log.h"
#include "passing.h"

#define TRANSACTION_TIMEOUT_MS 5000
#define FENCE_TIMEOUT_MS       8000
#define CONTROL_TIMEOUT_MS     8000
#define WRITE_TIMEOUT_MS       4000
#define ATTEMPTS_MAX           3    /* while another API process changes something too */
#define FOLLOW_WAIT_MS         2000 /* for our own view to show the change */
#define DOCUMENT_SIZE_MAX      (960 * 1024)

struct changes {
    struct service *service;
    pthread_mutex_t lock;
    struct bus_producer *producer; /* holds the fence; NULL: to be taken */
    struct bus_admin *admin;
    struct control *control; /* as far as control_next, for planning */
    int64_t control_next;
};

/* One log that a change concerns. */
struct target {
    struct topic_name topic;
    struct trail_offsets *offsets; /* of the version: filled from the tickets */
    struct bus_ticket *tickets;    /* one a partition */
};

struct change {
    struct changes *changes;
    const struct caller *caller;
    struct change_plan *plan;
    struct target targets[TRAIL_TOPICS_MAX];
    size_t target_count;
    struct str record; /* the version, as the change records say it */
    struct str event;  /* encoded: value of one of them */
    struct why why;
};

struct changes *changes_new(struct service *service)
{
    struct changes *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->service = service;
    (void)pthread_mutex_init(&c->lock, NULL);
    return c;
}

static void give_up_fence(struct changes *c)
{
    bus_producer_close(c->producer);
    c->producer = NULL;
}

void changes_free(struct changes *c)
{
    if (!c)
        return;
    give_up_fence(c);
    bus_admin_close(c->admin);
    control_free(c->control);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- fence, view ------------------------------------------------------------------------------------ */

static int take_fence(struct changes *c, struct why *why)
{
    int r;

    if (!c->admin && (r = bus_admin_open(&c->service->bus, &c->admin, why)) < 0)
        return r;
    if (c->producer)
        return 0;
    r = bus_producer_open(&c->service->bus, CHANGES_TRANSACTIONAL_ID, TRANSACTION_TIMEOUT_MS,
                          &c->producer, why);
    if (r == 0)
        r = bus_transactions_init(c->producer, FENCE_TIMEOUT_MS, why);
    if (r < 0)
        give_up_fence(c);
    return r;
}

static int apply_record(void *arg, const struct bus_record *record)
{
    struct why why = {0};
    int r = control_apply(arg, record->key, record->value, record->tombstone, &why);

    if (r < 0)
        log_error(r, "%s", why.text);
    return r == -ERR_NOMEM || r == -ERR_LIMIT ? r : 0;
}

/* Only behind the fence: whatever was committed before it was taken is seen, and nobody commits behind it. */
static int read_control(struct changes *c, struct why *why)
{
    struct topic_name topic = topic_name(TOPIC_CONTROL, STR_NONE);
    int r;

    if (!c->control)
        c->control = control_new();
    if (!c->control)
        return -ERR_NOMEM;
    r = bus_read_to_end(&c->service->bus, topic.text, 0, c->control_next, CONTROL_TIMEOUT_MS,
                        apply_record, c->control, &c->control_next, why);
    if (r == 0 && control_growing(c->control))
        r = why_set(why, -ERR_UNAVAILABLE,
                    "partitions are being added: wait, or run `trailctl topics apply` again if it "
                    "was stopped");
    return r;
}

/* ---- what is to be written ---------------------------------------------------------------------------- */

static int add_target(struct change *ch, struct topic_name topic)
{
    struct changes *c = ch->changes;
    struct trail_version *v = &ch->plan->next;
    struct target *t = &ch->targets[ch->target_count];
    struct str generation = control_generation(c->control, str_from(topic.text));
    int32_t count;
    int r;

    if (ch->target_count == TRAIL_TOPICS_MAX)
        return why_set(&ch->why, -ERR_LIMIT, "more than %d topics are concerned", TRAIL_TOPICS_MAX);
    if (!generation.len)
        return why_set(&ch->why, -ERR_CONFIG,
                       "control knows no generation of %s: run `trailctl topics apply`",
                       topic.text);
    r = bus_admin_partitions(c->admin, topic.text, &count, &ch->why);
    if (r < 0)
        return r;
    if (count > TRAIL_PARTITIONS_MAX)
        return why_set(&ch->why, -ERR_LIMIT, "%s has too many partitions", topic.text);
    *t = (struct target){.topic = topic, .offsets = &v->offsets[ch->target_count]};
    t->tickets = calloc((size_t)count, sizeof(*t->tickets));
    *t->offsets = (struct trail_offsets){
        arena_copy(ch->caller->arena, str_from(topic.text)), generation, (size_t)count,
        arena_get(ch->caller->arena, (size_t)count * sizeof(int64_t))};
    if (!t->tickets || !t->offsets->topic.at || !t->offsets->offsets) {
        free(t->tickets);
        return -ERR_NOMEM;
    }
    v->offset_count = ++ch->target_count;
    return 0;
}

static int choose_targets(struct change *ch)
{
    const struct config_strs *regions = &ch->changes->service->config->topology.regions;
    struct trail_version *v = &ch->plan->next;
    int r = 0;

    v->offsets = arena_get(ch->caller->arena, TRAIL_TOPICS_MAX * sizeof(*v->offsets));
    if (!v->offsets)
        return -ERR_NOMEM;
    for (size_t i = 0; i < regions->count && r == 0; i++)
        if (change_concerns(ch->plan, regions->at[i]))
            r = add_target(ch, topic_name(TOPIC_EVENTS, regions->at[i]));
    return r < 0 ? r : add_target(ch, topic_name(TOPIC_GLOBAL, STR_NONE));
}

/* The event of this call, as its record will carry it: normalized already, since no normalizer sees it. */
static int encode_event(struct change *ch)
{
    const struct caller *caller = ch->caller;
    struct rpc_failure none = {0};
    AUTO_BUF struct buf document = {0}, encoded = {0};
    struct event event = {
        .id = str_from(caller->request_id),
        .account = caller->account,
        .region = caller->region,
        .category = EVENT_MANAGEMENT,
        .rw = EVENT_WRITE,
        .purpose = EVENT_FOR_DELIVERY | EVENT_FOR_HISTORY,
        .time_ms = caller->now_s * 1000,
        .received_ms = caller->now_s * 1000,
        .service = STR("Actiontrail"),
        .name = caller->call->action,
        .type = STR("ApiCall"),
        .user = caller->user.len ? caller->user : STR("root"),
        .principal = caller->principal,
        .access_key = caller->access_key,
        .source_ip = caller->peer,
        .resources = {{STR("ACS::ActionTrail::Trail"), ch->plan->next.name}},
        .resource_count = 1,
    };
    int r;

    buf_init(&document, DOCUMENT_SIZE_MAX);
    buf_init(&encoded, EVENT_ENCODED_SIZE_MAX);
    r = service_event_document(caller, &none, &document);
    event.document = buf_str(&document);
    if (r == 0)
        r = event_encode(&event, &encoded);
    if (r < 0)
        return r;
    ch->event = arena_copy(caller->arena, buf_str(&encoded));
    return ch->event.at ? 0 : -ERR_NOMEM;
}

static int render_version(struct change *ch, bool with_offsets, struct str *ret)
{
    AUTO_BUF struct buf text = {0};
    int r;

    buf_init(&text, DOCUMENT_SIZE_MAX);
    r = trail_version_render(&ch->plan->next, with_offsets, &text);
    if (r < 0)
        return why_set(&ch->why, r, "a trail's version of more than %d bytes", DOCUMENT_SIZE_MAX);
    *ret = arena_copy(ch->caller->arena, buf_str(&text));
    return ret->at ? 0 : -ERR_NOMEM;
}

/* ---- writing -------------------------------------------------------------------------------------------- */

static int write_target(struct change *ch, struct target *t)
{
    struct topic_name home = topic_name(TOPIC_EVENTS, ch->plan->next.home_region);
    int32_t count = (int32_t)t->offsets->partition_count, own = -1;
    struct bus_header header = {HEADER_CHANGE, ch->record};
    int r = 0;

    if (strcmp(t->topic.text, home.text) == 0)
        own = bus_partition_of(ch->caller->account, count);
    for (int32_t p = 0; p < count && r == 0; p++)
        r = bus_producer_write(ch->changes->producer, t->topic.text, p, ch->caller->account,
                               p == own ? ch->event : STR(""), &header, 1, &t->tickets[p]);
    if (r == -ERR_NOT_FOUND) /* a partition that this handle has not heard of: the next one has */
        r = -ERR_UNAVAILABLE;
    return r < 0 ? why_set(&ch->why, r, "cannot write to %s", t->topic.text) : 0;
}

static int collect_offsets(struct change *ch)
{
    for (size_t i = 0; i < ch->target_count; i++) {
        const struct target *t = &ch->targets[i];

        for (size_t p = 0; p < t->offsets->partition_count; p++) {
            const struct bus_ticket *ticket = &t->tickets[p];

            if (!ticket->done || ticket->error < 0 || ticket->offset < 0)
                return why_set(&ch->why,
                               ticket->done && ticket->error ? ticket->error : -ERR_TIMEOUT,
                               "%s/%zu did not acknowledge the change", t->topic.text, p);
            t->offsets->offsets[p] = ticket->offset;
        }
    }
    return 0;
}

static bool has_origin(const struct trail_destination *d, const struct trail_offsets *log)
{
    for (size_t i = 0; i < d->origin_count; i++)
        if (str_eq(d->origins[i].topic, log->topic) &&
            str_eq(d->origins[i].generation, log->generation))
            return true;
    return false;
}

/* The change's own list of destinations, each with room for an origin in every log concerned. */
static int own_destinations(struct change *ch)
{
    struct trail_version *v = &ch->plan->next;
    struct arena *arena = ch->caller->arena;
    struct trail_destination *list = arena_get(arena, v->destination_count * sizeof(*list));

    if (!list)
        return -ERR_NOMEM;
    memcpy(list, v->destinations, v->destination_count * sizeof(*list));
    for (size_t i = 0; i < v->destination_count; i++) {
        size_t count = list[i].origin_count;
        struct trail_offsets *origins =
            arena_get(arena, (count + ch->target_count) * sizeof(*origins));

        if (!origins)
            return -ERR_NOMEM;
        if (count)
            memcpy(origins, list[i].origins, count * sizeof(*origins));
        list[i].origins = origins;
    }
    v->destinations = list;
    return 0;
}

static int add_origin(struct change *ch, struct trail_destination *d, struct trail_offsets origin)
{
    if (d->origin_count == TRAIL_ORIGINS_MAX)
        return why_set(&ch->why, -ERR_LIMIT, "a destination with more than %d origins",
                       TRAIL_ORIGINS_MAX);
    d->origins[d->origin_count++] = origin;
    return 0;
}

/* A log that began after the trail's last change has a chain from its start: say so from now on, before this change
 * becomes the first that lies in it. */
static int add_implied_origins(struct change *ch)
{
    const struct trail *trail =
        trail_book_find(control_trails(ch->changes->control), ch->plan->next.id);
    struct trail_version *v = &ch->plan->next;
    int r = 0;

    for (size_t i = 0; trail && i < v->destination_count; i++) {
        for (size_t t = 0; t < ch->target_count && r == 0; t++) {
            struct trail_offsets start = *ch->targets[t].offsets;
            struct trail_log log = {start.topic, start.generation, 0};
            int64_t first;

            if (has_origin(&v->destinations[i], &start) ||
                !trail_origin(trail, v->destinations[i].number, &log, &first))
                continue;
            start.offsets = arena_get(ch->caller->arena, start.partition_count * sizeof(int64_t));
            if (!start.offsets)
                return -ERR_NOMEM;
            for (size_t p = 0; p < start.partition_count; p++)
                start.offsets[p] = -1;
            r = add_origin(ch, &v->destinations[i], start);
        }
    }
    return r;
}

/* In a log that the current destination has not been in, its chain begins behind this change. */
static int add_new_origins(struct change *ch)
{
    struct trail_version *v = &ch->plan->next;
    struct trail_destination *d = &v->destinations[v->destination_count - 1];
    int r = 0;

    for (size_t t = 0; t < ch->target_count && r == 0; t++)
        if (!has_origin(d, ch->targets[t].offsets))
            r = add_origin(ch, d, *ch->targets[t].offsets);
    return r;
}

static int write_entry(struct change *ch, struct bus_ticket *ticket)
{
    struct topic_name control = topic_name(TOPIC_CONTROL, STR_NONE);
    AUTO_BUF struct buf key = {0};
    struct str value;
    int r = render_version(ch, true, &value);

    if (r < 0)
        return r;
    buf_init(&key, CONTROL_KEY_SIZE_MAX);
    control_trail_key(&ch->plan->next, &key);
    r = buf_error(&key); /* under another key nobody would ever know of the change */
    if (r < 0)
        return r;
    r = bus_producer_write(ch->changes->producer, control.text, 0, buf_str(&key), value, NULL, 0,
                           ticket);
    if (r == 0)
        r = bus_producer_flush(ch->changes->producer, WRITE_TIMEOUT_MS);
    if (r < 0)
        return why_set(&ch->why, r, "cannot write to %s", control.text);
    r = !ticket->done ? -ERR_TIMEOUT : ticket->error;
    return r < 0 ? why_set(&ch->why, r, "%s did not acknowledge the change", control.text) : 0;
}

static int transact(struct change *ch, struct bus_ticket *entry)
{
    struct changes *c = ch->changes;
    int r = bus_begin(c->producer, &ch->why);

    for (size_t i = 0; i < ch->target_count && r == 0; i++)
        r = write_target(ch, &ch->targets[i]);
    if (r == 0 && (r = bus_producer_flush(c->producer, WRITE_TIMEOUT_MS)) < 0)
        (void)why_set(&ch->why, r, "its records were not acknowledged in %d ms", WRITE_TIMEOUT_MS);
    if (r == 0)
        r = collect_offsets(ch);
    if (r == 0)
        r = add_new_origins(ch);
    if (r == 0)
        r = write_entry(ch, entry);
    if (r == 0)
        r = bus_commit(c->producer, WRITE_TIMEOUT_MS, &ch->why);
    /* Whatever went wrong: closing the handle gives the transaction up, and taking the fence aborts what is
     * left of it. A commit whose outcome is not known shows in `control` at the next attempt. */
    if (r < 0)
        give_up_fence(c);
    return r;
}

static void change_done(struct change *ch)
{
    for (size_t i = 0; i < ch->target_count; i++)
        free(ch->targets[i].tickets);
}

static int write_change(struct changes *c, const struct caller *caller, struct change_plan *plan,
                        struct bus_ticket *entry, struct why *why)
{
    struct change ch = {.changes = c, .caller = caller, .plan = plan};
    int r;

    if ((r = choose_targets(&ch)) == 0 && (r = own_destinations(&ch)) == 0 &&
        (r = add_implied_origins(&ch)) == 0 && (r = encode_event(&ch)) == 0 &&
        (r = render_version(&ch, false, &ch.record)) == 0)
        r = transact(&ch, entry);
    if (r < 0 && c->producer)
        give_up_fence(c);
    change_done(&ch);
    *why = ch.why;
    return r;
}

/* ---- one change, as often as it takes ------------------------------------------------------------------- */

/* Whether the version that we wrote without hearing of its commit is there after all; others may have changed the trail
 * since. */
static bool came_through(const struct changes *c, const struct trail_version *v)
{
    const struct trail *trail = trail_book_find(control_trails(c->control), v->id);

    for (size_t i = trail ? trail_version_count(trail) : 0; i > 0; i--)
        if (str_eq(trail_version_at(trail, i - 1)->request, v->request))
            return true;
    return false;
}

static void wait_until_followed(struct service *s, int64_t offset)
{
    struct timespec until = service_until(FOLLOW_WAIT_MS);

    (void)pthread_mutex_lock(&s->control_mutex);
    while (s->control_next <= offset &&
           pthread_cond_timedwait(&s->control_moved, &s->control_mutex, &until) == 0)
        ;
    (void)pthread_mutex_unlock(&s->control_mutex);
}

/* One call of changes_apply(). */
struct change_call {
    const struct caller *caller;
    struct change_request request;
    struct change_plan *plan;
    struct bus_ticket entry;
    struct rpc_failure *failure;
    bool tried;  /* a version may have been written already, whose commit we did not hear of */
    bool waited; /* what came before the call has passed */
};

enum { UNCHANGED, WRITTEN, MUST_WAIT };

static int attempt(struct changes *c, struct change_call *call, struct why *why)
{
    struct change_plan *plan = call->plan;
    int r = take_fence(c, why);

    if (r == 0)
        r = read_control(c, why);
    if (r < 0)
        return r;
    if (call->tried && came_through(c, &plan->next)) {
        call->entry.offset = c->control_next - 1;
        return WRITTEN;
    }
    call->tried = false;
    if (change_plan(c->control, &call->request, call->caller->arena, plan, call->failure) < 0)
        return UNCHANGED; /* refused: the failure says why */
    if (!plan->changes)
        return UNCHANGED;
    if (trail_book_doubts(control_trails(c->control), plan->next.id))
        return why_set(why, -ERR_CONFIG,
                       "trail " STR_FMT " has a version in control that cannot be read",
                       STR_ARG(plan->next.id));
    if (change_narrows(plan) && !call->waited)
        return MUST_WAIT;
    plan->next.request = str_from(call->caller->request_id);
    call->tried = true;
    r = write_change(c, call->caller, plan, &call->entry, why);
    return r < 0 ? r : WRITTEN;
}

/* Nobody else waits meanwhile: the fence is not held. A forced change waits as well, so that as little as possible
 * is lost, and is then written all the same. */
static int wait_for_those_before(struct changes *c, struct change_call *call, struct why *why)
{
    int r;

    (void)pthread_mutex_unlock(&c->lock);
    r = passing_wait(c->service, why);
    (void)pthread_mutex_lock(&c->lock);
    if (r < 0 && call->caller->forced) {
        log_warning("a change of a trail is forced: %s", why->text);
        r = 0;
    }
    call->waited = r == 0;
    return r;
}

static int attempts(struct changes *c, struct change_call *call)
{
    int r = -ERR_UNAVAILABLE;

    for (int i = 0; i < ATTEMPTS_MAX && r < 0; i++) {
        struct why why = {0};

        r = attempt(c, call, &why);
        if (r == MUST_WAIT) {
            r = wait_for_those_before(c, call, &why);
            if (r < 0)
                return log_error(r, "a change of a trail waited in vain: %s", why.text);
            r = attempt(c, call, &why);
        }
        if (r < 0)
            log_error(r, "a change of a trail: %s", why.text);
        if (r < 0 && err_class(r) != ERR_CLASS_RETRY)
            return r;
    }
    return r;
}

int changes_apply(struct changes *c, const struct caller *caller, enum change_kind kind,
                  struct change_plan *ret_plan, struct rpc_failure *reterr_failure)
{
    struct change_call call = {.caller = caller,
                               .request = {.kind = kind,
                                           .account = caller->account,
                                           .region = caller->region,
                                           .call = caller->call,
                                           .catalog = caller->service->catalog,
                                           .now_s = caller->now_s},
                               .plan = ret_plan,
                               .failure = reterr_failure};
    char id[UUID_SIZE];
    int r;

    crypto_uuid(id);
    call.request.new_id = arena_copy(caller->arena, str_from(id));
    if (!call.request.new_id.at)
        return rpc_fail(reterr_failure, "InternalError", NULL);
    (void)pthread_mutex_lock(&c->lock);
    r = attempts(c, &call);
    (void)pthread_mutex_unlock(&c->lock);
    if (r < 0)
        return rpc_fail(reterr_failure, "ServiceUnavailable", NULL);
    if (reterr_failure->code)
        return -ERR_INVALID;
    if (r == WRITTEN)
        wait_until_followed(caller->service, call.entry.offset);
    return r;
}
