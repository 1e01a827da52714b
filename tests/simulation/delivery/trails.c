/* trails.c - the list of changes, and what it says about an offset. Settings are computed from the list by this file
 * alone; the core under test reads the same changes in production's form, from `control` and from the log. */
#include <stdio.h>

#include "sim.h"

#define UNSEEN (-1)

struct str trails_generation(const struct sim *sim)
{
    static const char *const generations[GENERATIONS] = {"6d1f0a52-5f0e-4b0e-9a51-0a4a3f6f3c11",
                                                         "0b7b4c5e-0d5f-4a5c-8a51-77d1a0a1f3d2",
                                                         "3c0e7e0c-93b5-4d36-8f0e-5a3c7a0f2b44"};

    return str_from(generations[sim->generation]);
}

static const char *const accounts[ACCOUNTS] = {"1001", "1002", "1003"};

struct str trails_bucket_name(int bucket)
{
    static const char *const names[BUCKETS] = {"bucket-a", "bucket-b", "bucket-c"};

    return str_from(names[bucket]);
}

/* ---- what the list says -------------------------------------------------------------------------------- */

/* First offset at which the version holds there; false: it does not concern the partition (yet). */
static bool holds_from(const struct sim_version *v, int32_t partition, int64_t *ret)
{
    if (!v->concerned)
        return false;
    /* Where there is no change record, since the partition or the log is younger, the version holds from the start. */
    if (v->before_log || partition >= v->partition_count) {
        *ret = 0;
        return true;
    }
    *ret = v->offsets[partition] + 1;
    return v->offsets[partition] != UNSEEN;
}

static size_t index_at(const struct sim_trail *t, int32_t partition, int64_t offset)
{
    for (size_t i = t->version_count; i > 0; i--) {
        int64_t from;

        if (holds_from(&t->versions[i - 1], partition, &from) && from <= offset)
            return i;
    }
    return 0;
}

int64_t trails_version_at(const struct sim *sim, int trail, int32_t partition, int64_t offset)
{
    return (int64_t)index_at(&sim->trails[trail], partition, offset);
}

static bool wants(const struct sim_trail *t, const struct sim_version *v, const struct entry *e)
{
    if (!v->logging || v->deleted || e->account != t->account || e->inner || e->for_history_only)
        return false;
    if ((v->rw == TRAIL_RW_READ && e->rw != EVENT_READ) ||
        (v->rw == TRAIL_RW_WRITE && e->rw != EVENT_WRITE))
        return false;
    return e->global ? t->home_here : v->reach != REACH_ELSEWHERE;
}

int64_t trails_expect(const struct sim *sim, int trail, int32_t partition, int64_t offset)
{
    const struct sim_trail *t = &sim->trails[trail];
    const struct entry *e = log_at(sim, partition, offset);
    size_t i = index_at(t, partition, offset);
    bool wanted;

    if (e->state != ENTRY_COMMITTED || !e->with_event || i == 0)
        return 0;
    wanted = wants(t, &t->versions[i - 1], e);
    /* The event of a change is in the trail under its old or its new settings. */
    if (e->kind == ENTRY_CHANGE && sim->changes[e->change].trail == trail)
        wanted |= wants(t, &t->versions[sim->changes[e->change].version], e);
    return wanted ? t->versions[i - 1].destination : 0;
}

int64_t trails_origin(const struct sim *sim, int trail, int64_t destination, int32_t partition)
{
    const struct sim_trail *t = &sim->trails[trail];
    int64_t from;

    for (size_t i = 0; i < t->version_count; i++)
        if (t->versions[i].destination == destination &&
            holds_from(&t->versions[i], partition, &from))
            return from;
    return -1;
}

int64_t trails_chain_end(const struct sim *sim, int trail, int64_t destination, int32_t partition)
{
    const struct sim_trail *t = &sim->trails[trail];
    int64_t from;

    for (size_t i = 0; i < t->version_count; i++) {
        const struct sim_version *v = &t->versions[i];

        if ((v->deleted || v->destination > destination) && holds_from(v, partition, &from))
            return from;
    }
    return INT64_MAX;
}

/* ---- production's form ------------------------------------------------------------------------------------ */

struct form {
    struct trail_version version;
    struct trail_destination destinations[VERSIONS_MAX];
    struct trail_offsets origins[VERSIONS_MAX], own;
    int64_t offsets[VERSIONS_MAX + 1][PARTITIONS_MAX];
};

static struct trail_offsets offsets_form(const struct sim *sim, const struct sim_version *v,
                                         int64_t *offsets)
{
    for (int32_t p = 0; p < v->partition_count; p++)
        offsets[p] = v->offsets[p];
    return (struct trail_offsets){TOPIC, trails_generation(sim), (size_t)v->partition_count,
                                  offsets};
}

/* The first version that brought the destination to our topic. */
static const struct sim_version *began(const struct sim_trail *t, size_t until, int64_t destination)
{
    for (size_t i = 0; i < until; i++)
        if (t->versions[i].destination == destination && t->versions[i].concerned)
            return &t->versions[i];
    return NULL;
}

/* `until`: how many of the versions have known offsets. */
static void destinations_form(const struct sim *sim, const struct sim_trail *t, size_t until,
                              struct form *f)
{
    for (int64_t n = 1; n <= (int64_t)f->version.destination_count; n++) {
        struct trail_destination *d = &f->destinations[n - 1];
        const struct sim_version *v = began(t, until, n);

        *d = (struct trail_destination){.number = n,
                                        .version = t->destinations[n - 1].version,
                                        .bucket = trails_bucket_name(t->destinations[n - 1].bucket),
                                        .prefix = STR("")};
        if (!v)
            continue;
        f->origins[n - 1] = offsets_form(sim, v, f->offsets[n - 1]);
        d->origins = &f->origins[n - 1];
        d->origin_count = 1;
    }
}

/* `entry`: as `control` keeps it, its own offsets included; else as the header of its change record. */
static char *render(const struct sim *sim, const struct sim_trail *t, size_t index, bool entry)
{
    static const char *const regions[] = {"cn-hangzhou", "All", "cn-beijing"};
    const struct sim_version *v = &t->versions[index];
    AUTO_BUF struct buf out = {0};
    struct form f = {0};

    f.version = (struct trail_version){
        .id = str_from(t->id),
        .version = (int64_t)index + 1,
        .account = str_from(accounts[t->account]),
        .name = STR("trail"),
        .home_region = t->home_here ? HERE : ELSEWHERE,
        .regions = str_from(regions[v->reach]),
        .rw = v->rw,
        .logging = v->logging,
        .deleted = v->deleted,
        .destinations = f.destinations,
        .destination_count = (size_t)v->destination,
        .offsets = &f.own,
        .offset_count = v->concerned,
    };
    destinations_form(sim, t, entry ? index + 1 : index, &f);
    if (v->concerned)
        f.own = offsets_form(sim, v, f.offsets[VERSIONS_MAX]);
    buf_init(&out, 1 << 16);
    CHECK(trail_version_render(&f.version, entry, &out) == 0 && buf_error(&out) == 0);
    return str_dup(buf_str(&out));
}

/* ---- changes ------------------------------------------------------------------------------------------------ */

static bool covers(const struct sim_version *v)
{
    return v->reach != REACH_ELSEWHERE;
}

static void begin(struct sim *sim, int trail, struct sim_version next)
{
    struct sim_trail *t = &sim->trails[trail];
    const struct sim_version *last = t->version_count ? &t->versions[t->version_count - 1] : NULL;
    struct change *c = &sim->changes[sim->change_count];

    next.concerned = t->home_here || covers(&next) || (last && covers(last));
    next.before_log = false;
    next.partition_count = sim->partition_count;
    for (size_t p = 0; p < PARTITIONS_MAX; p++)
        next.offsets[p] = UNSEEN;
    t->versions[t->version_count] = next;
    *c = (struct change){.trail = trail, .version = t->version_count++};
    c->record = render(sim, t, c->version, false);
    log_begin_change(sim, sim->change_count++);
}

static void new_destination(struct sim *sim, struct sim_trail *t, struct sim_version *v)
{
    v->destination = t->destination_count + 1;
    t->destinations[t->destination_count].bucket = (int)sim_between(sim, 0, BUCKETS - 1);
    t->destinations[t->destination_count].version = (int64_t)t->version_count + 1;
    trail_chain(str_from(t->id), v->destination, trails_generation(sim),
                t->destinations[t->destination_count++].chain);
}

void trails_create(struct sim *sim)
{
    struct sim_trail *t;
    struct sim_version v = {
        .logging = sim_chance(sim, 80),
        .rw = (enum trail_rw)sim_between(sim, 0, 2),
        .reach = sim_chance(sim, 80) ? (enum reach)sim_between(sim, 0, 1) : REACH_ELSEWHERE,
    };

    if (sim->trail_count == TRAILS_MAX)
        return;
    t = &sim->trails[sim->trail_count];
    (void)snprintf(t->id, sizeof(t->id), "00000000-0000-4000-8000-%012d", sim->trail_count);
    t->account = (int)sim_between(sim, 0, ACCOUNTS - 1);
    t->home_here = sim_chance(sim, 80);
    new_destination(sim, t, &v);
    begin(sim, sim->trail_count++, v);
}

/* One change at a time: the fence. */
bool trails_fenced(const struct sim *sim)
{
    for (size_t i = 0; i < sim->transaction_count; i++)
        if (sim->transactions[i].change >= 0)
            return true;
    return false;
}

void trails_change(struct sim *sim)
{
    int trail = (int)sim_between(sim, 0, TRAILS_MAX - 1);
    struct sim_trail *t = &sim->trails[trail];
    struct sim_version v;

    if (trails_fenced(sim) || sim->change_count == CHANGES_MAX)
        return;
    if (trail >= sim->trail_count) {
        trails_create(sim);
        return;
    }
    v = t->versions[t->version_count - 1];
    if (v.deleted || t->version_count == VERSIONS_MAX)
        return;
    switch (sim_between(sim, 0, 9)) {
    case 0:
    case 1:
    case 2:
        v.logging = !v.logging;
        break;
    case 3:
    case 4:
        v.rw = (enum trail_rw)sim_between(sim, 0, 2);
        break;
    case 5:
        v.reach = (enum reach)sim_between(sim, 0, 2);
        break;
    case 6:
        v.deleted = true;
        break;
    default:
        new_destination(sim, t, &v);
        break;
    }
    begin(sim, trail, v);
}

void trails_begin_new_log(struct sim *sim)
{
    sim->generation++;
    log_make_anew(sim);
    for (int i = 0; i < sim->trail_count; i++) {
        struct sim_trail *t = &sim->trails[i];

        for (size_t n = 0; n < t->version_count; n++) {
            struct sim_version *v = &t->versions[n];

            v->before_log = true;
            v->partition_count = sim->partition_count;
            v->concerned = n + 1 == t->version_count && (t->home_here || covers(v));
            for (size_t p = 0; p < PARTITIONS_MAX; p++)
                v->offsets[p] = -1; /* an origin at the start */
        }
        for (int64_t d = 0; d < t->destination_count; d++) {
            SIM_GROW(sim->gone, sim->gone_count, sim->gone_cap);
            memcpy(sim->gone[sim->gone_count++], t->destinations[d].chain, TRAIL_CHAIN_SIZE);
            trail_chain(str_from(t->id), d + 1, trails_generation(sim), t->destinations[d].chain);
        }
    }
}

void trails_settle(struct sim *sim, int change, bool aborted)
{
    struct change *c = &sim->changes[change];
    struct sim_trail *t = &sim->trails[c->trail];

    if (!aborted) {
        c->entry = render(sim, t, c->version, true);
        return;
    }
    /* It never was. Its records stay in the log, for nobody to read. */
    c->aborted = true;
    t->version_count--;
    while (t->destination_count > t->versions[t->version_count - 1].destination)
        t->destination_count--;
}

void trails_free(struct sim *sim)
{
    free(sim->gone);
    for (int i = 0; i < sim->change_count; i++) {
        free(sim->changes[i].record);
        free(sim->changes[i].entry);
    }
}
