/* view.c - trails in round trips of SHOWN_AT_ONCE, every answer looked at. */
#include "view/view.h"

#include "state/keys.h"

#define SHOWN_AT_ONCE 1000 /* trails in one round trip */

bool view_is_missing(struct state *state)
{
    struct state_key epoch = state_key_epoch();

    STATE_ADD(state, STR("EXISTS"), state_key_str(&epoch));
    return state_flush(state, NULL) == 0 && state_reply(state, 0).type == STATE_INTEGER &&
           state_reply(state, 0).integer == 0;
}

static void add_trail(struct state *state, const struct trail_version *v)
{
    static const char *const rw[] = {"All", "Write", "Read"};
    const struct trail_destination *d = trail_version_destination(v);
    struct state_key key = state_key_trail(v->id), all = state_key_account_trails(v->account);

    if (v->deleted) {
        STATE_ADD(state, STR("DEL"), state_key_str(&key));
        STATE_ADD(state, STR("SREM"), state_key_str(&all), v->id);
        return;
    }
    STATE_ADD(state, STR("HSET"), state_key_str(&key), STR("name"), v->name, STR("account"),
              v->account, STR("home_region"), v->home_region, STR("regions"), v->regions,
              STR("events"), str_from(rw[v->rw]), STR("status"), trail_status_name(v),
              STR("bucket"), d ? d->bucket : STR(""), STR("prefix"), d ? d->prefix : STR(""));
    STATE_ADD(state, STR("SADD"), state_key_str(&all), v->id);
}

/* Redis may answer and do nothing: no memory, a disk that is full, a replica. */
static int send(struct state *state, struct why *reterr_why)
{
    size_t count = state_queued(state);
    int r = state_flush(state, reterr_why);

    for (size_t i = 0; i < count && r == 0; i++) {
        struct state_reply reply = state_reply(state, i);

        if (reply.type == STATE_ERROR)
            r = why_set(reterr_why, -ERR_UNAVAILABLE, "Redis refuses: " STR_FMT,
                        STR_ARG(reply.text));
    }
    return r;
}

int view_fill(struct state *state, const struct trail_book *book, struct str who, int64_t now_s,
              struct why *reterr_why)
{
    struct state_key epoch = state_key_epoch(), mark = state_key_epoch_of(who);
    const struct trail *trail = NULL;
    char now[TIME_TEXT_SIZE];
    size_t waiting = 0;
    int r = 0;

    time_format(now_s, now);
    STATE_ADD(state, STR("SET"), state_key_str(&mark), str_from(now));
    while (r == 0 && (trail = trail_book_all(book, trail))) {
        add_trail(state, trail_latest(trail));
        if (++waiting == SHOWN_AT_ONCE) {
            r = send(state, reterr_why);
            waiting = 0;
        }
    }
    if (r == 0)
        r = send(state, reterr_why);
    if (r < 0)
        return r;
    STATE_ADD(state, STR("RENAME"), state_key_str(&mark), state_key_str(&epoch));
    r = state_flush(state, reterr_why);
    if (r == 0 && state_reply(state, 0).type == STATE_ERROR)
        r = why_set(reterr_why, -ERR_ABORTED, "Redis was emptied while its view was written");
    return r;
}
