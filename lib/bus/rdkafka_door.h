/* rdkafka_door.h - what the files of lib/bus share of librdkafka. Not for anybody else. */
#ifndef BUS_RDKAFKA_DOOR_H
#define BUS_RDKAFKA_DOOR_H

#include <librdkafka/rdkafka.h>

#include "bus/bus.h"

/* One setting; a refused one is our bug or an operator's typing: -ERR_CONFIG with the reason. */
MUST_CHECK int door_set(rd_kafka_conf_t *conf, const char *name, const char *value,
                        struct why *reterr_why);
/* A configuration with what all handles share: brokers, client id, logging. NULL with *reterr_r. */
rd_kafka_conf_t *door_conf(const struct bus_settings *settings, int *reterr_r,
                           struct why *reterr_why);
/* What readers of any kind set: isolation, ends, memory. */
MUST_CHECK int door_conf_reading(rd_kafka_conf_t *conf, bool committed, struct why *reterr_why);
/* Takes conf over. */
rd_kafka_t *door_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct why *reterr_why);
/* Calls close(handle), which may never return, and waits for it no longer than BUS_CLOSE_TIMEOUT_MS: it has to own all that it
 * needs. */
void door_close(void (*close)(void *handle), void *handle);
/* Our error for librdkafka's. */
int door_error(rd_kafka_resp_err_t err);
/* Takes `error` over; 0 for NULL. */
int door_error_done(rd_kafka_error_t *error, struct why *reterr_why);
/* Caller destroys. */
rd_kafka_topic_partition_list_t *door_list(const char *topic, const struct bus_position *positions,
                                           size_t count);
/* Fills an input from a message, which the caller keeps until the next poll. */
void door_input(const rd_kafka_message_t *message, struct bus_input *ret);

/* A read_uncommitted consumer handle, asked rather than read: only such a one is told the high
 * watermark. */
struct bus_admin {
    rd_kafka_t *rk;
};

/* For a transaction: the group's generation (caller destroys) and topic of a consumer. */
rd_kafka_consumer_group_metadata_t *consumer_group_metadata(struct bus_consumer *consumer);
const char *consumer_topic(const struct bus_consumer *consumer);

#endif
