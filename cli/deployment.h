/* deployment.h - what an operator's commands stand on: the configuration, and `control` read and changed.
 *
 *     deployment_open()                    the configuration file's sections
 *     control_view()                     all that `control` says now
 *     control_pen_open() write… commit   a change of it
 *
 * A pen is a fence: it shuts out whoever opened one before, then reads `control` to its end. So what is
 * decided by its view and then committed is decided by the newest state; the other's commit fails.
 *
 * Layer: I/O. DEPS base, bus, config, control, crypto, topology.
 */
#ifndef CLI_DEPLOYMENT_H
#define CLI_DEPLOYMENT_H

#include "bus/bus.h"
#include "cli/cli.h"
#include "config/common.h"
#include "control/control.h"

struct deployment_config {
    struct bus_section bus;
    struct state_section state;
    struct topology_section topology;
    struct security_section security;
};

struct deployment {
    struct deployment_config config;
    struct config *file;
    struct bus_settings bus;
};

/* These sections of the configuration that --config or TRAILBUS_CONFIG names, else the one where every program looks.
 * -ERR_CONFIG with what to change. */
MUST_CHECK int deployment_load(struct cli *cli, const struct config_section *sections, void *target,
                               struct config **ret, struct why *reterr_why);
/* -ERR_CONFIG with what to change. */
MUST_CHECK int deployment_open(struct cli *cli, struct deployment *ret, struct why *reterr_why);
void deployment_close(struct deployment *deployment);
static inline void auto_deployment_close(struct deployment *deployment)
{
    deployment_close(deployment);
}
#define AUTO_DEPLOYMENT __attribute__((cleanup(auto_deployment_close)))

/* -ERR_CONFIG when the master key cannot be read. */
MUST_CHECK int deployment_master_key(const struct deployment *deployment, struct crypto_key *ret,
                                     struct why *reterr_why);

/* As bus_admin_partitions(), but 0 partitions for a topic that is missing; when Kafka does not answer, says
 * where it was looked for. */
MUST_CHECK int deployment_partitions(const struct deployment *deployment, struct bus_admin *admin,
                                     const struct topic_name *topic, int32_t *ret,
                                     struct why *reterr_why);

/* A producer that holds this transactional id: whoever held it before can commit nothing any more, and what they
 * had not committed is gone. timeout_ms: as of bus_producer_open(). */
MUST_CHECK int deployment_fence(const struct deployment *deployment, const char *transactional_id,
                                int timeout_ms, struct bus_producer **ret, struct why *reterr_why);
/* Commits what its transaction has; an outcome that is not known is asked for again, for a while. */
MUST_CHECK int deployment_commit(struct bus_producer *producer, struct why *reterr_why);

/* -ERR_CONFIG when there is no `control` yet. */
MUST_CHECK int control_view(const struct deployment *deployment, struct control **ret,
                            struct why *reterr_why);

struct control_pen;
MUST_CHECK int control_pen_open(const struct deployment *deployment, struct control_pen **ret,
                                struct why *reterr_why);
void control_pen_close(struct control_pen *pen); /* what was not committed is forgotten */
AUTO_DEFINE(struct control_pen, control_pen_close)
const struct control *control_pen_view(const struct control_pen *pen); /* as of opening */
/* `value.at` NULL: a tombstone. Copied. */
MUST_CHECK int control_pen_write(struct control_pen *pen, struct str key, struct str value,
                                 struct why *reterr_why);
/* All that was written since the last commit, or nothing of it. -ERR_FENCED: somebody else changed
 * `control` meanwhile, nothing was done. */
MUST_CHECK int control_pen_commit(struct control_pen *pen, struct why *reterr_why);

#endif
