/* keys.h - every Redis key of a deployment. docs/REDIS.md is the contract with dashboards.
 *
 * All begin with "tb1:"; the number changes when a form changes.
 *
 * Layer: pure. DEPS base.
 */
#ifndef STATE_KEYS_H
#define STATE_KEYS_H

#include "base/base.h"

#define STATE_KEY_SIZE_MAX 512

struct state_key {
    char text[STATE_KEY_SIZE_MAX];
    size_t len;
};
static inline struct str state_key_str(const struct state_key *key)
{
    return str_of(key->text, key->len);
}

/* Hash of a running worker, expires: tb1:worker:<worker>:<region>:<instance> */
struct state_key state_key_worker(struct str worker, struct str region, struct str instance);
/* Set of all such keys that were ever written: tb1:workers */
struct state_key state_key_workers(void);
/* Hash of counters by name, kept: tb1:count:<worker>:<region> */
struct state_key state_key_counters(struct str worker, struct str region);
/* Hash of what became of a partition's records, exact (lib/tally): tb1:tally:<worker>:<region>:<partition> */
struct state_key state_key_tally(struct str worker, struct str region, int32_t partition);
/* Hash of a trail's delivery status in a region: tb1:trail:<trail id>:status:<region> */
struct state_key state_key_trail_status(struct str trail, struct str region);
/* Hash of what became of a trail's events, by stream: tb1:trail:<trail id>:counts:<region> */
struct state_key state_key_trail_counts(struct str trail, struct str region);
/* Text "boundary clear counts": tb1:progress:<trail id>:<chain>:<partition>:<account>:<type> */
struct state_key state_key_progress(struct str trail, struct str chain, int32_t partition,
                                    struct str account, struct str type);
/* A nonce that was used, expires: tb1:nonce:<access key id>:<nonce> */
struct state_key state_key_nonce(struct str access_key, struct str nonce);
/* Counter of calls in one second, expires: tb1:throttle:<account, or id of a user>:<operation>:<second> */
struct state_key state_key_throttle(struct str principal, struct str operation, int64_t second);
/* Hash of a trail's settings as DescribeTrails shows them: tb1:trail:<trail id> */
struct state_key state_key_trail(struct str trail);
/* Set of an account's trail ids: tb1:account:<account>:trails */
struct state_key state_key_account_trails(struct str account);
/* Hash of a topic's balance: received, accounted, ..., expires: tb1:balance:<topic> */
struct state_key state_key_balance(struct str topic);
/* Hash, by partition, of what a worker still has to read and when it is lost, expires: tb1:loss:<topic>:<worker> */
struct state_key state_key_loss(struct str topic, struct str worker);
/* Hash of how fresh a region's stages are, expires: tb1:freshness:<region> */
struct state_key state_key_freshness(struct str region);
/* Hash of what is wrong now, by id: tb1:alarms */
struct state_key state_key_alarms(void);
/* Stream of alarms that began and ended: tb1:alarms:log */
struct state_key state_key_alarms_log(void);
/* Set of ids that an operator has accepted, expires: tb1:alarms:accepted */
struct state_key state_key_alarms_accepted(void);
/* List of what the watch has to remember: tb1:watch:memory */
struct state_key state_key_watch_memory(void);
/* Text: who filled the view and when; absent: Redis is empty and has to be filled: tb1:epoch */
struct state_key state_key_epoch(void);
/* What becomes the epoch when `who` has filled the view: tb1:epoch:<who> */
struct state_key state_key_epoch_of(struct str who);

#endif
