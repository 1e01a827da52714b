/* positions.c - the log of positions: written by whoever holds a partition, read by whoever is given one. */
#include "bus/positions.h"

#include <stdio.h>

#define FORM STR("1")

struct positions {
    const char *group, *topic;
    struct topic_name log;
    int64_t next;                     /* in the log */
    char *values[BUS_PARTITIONS_MAX]; /* as they were read; NULL: none */
};

struct position {
    struct str generation, tally;
    int64_t offset;
};

struct positions *positions_new(const char *group, const char *topic)
{
    struct positions *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->group = group;
    p->topic = topic;
    p->log = topic_name(TOPIC_POSITIONS, STR_NONE);
    return p;
}

void positions_free(struct positions *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < BUS_PARTITIONS_MAX; i++)
        free(p->values[i]);
    free(p);
}

/* The partition that a key is of; -1: of another group or topic. */
static int64_t partition_of(const struct positions *p, struct str key)
{
    struct str rest = key, group, topic;
    int64_t partition;

    if (!str_split(&rest, '/', &group) || !str_eq(group, str_from(p->group)) ||
        !str_split(&rest, '/', &topic) || !str_eq(topic, str_from(p->topic)) ||
        !str_to_i64(rest, &partition) || partition < 0 || partition >= BUS_PARTITIONS_MAX)
        return -1;
    return partition;
}

static bool parse(struct str value, struct position *ret)
{
    struct str form, offset;

    ret->tally = value;
    return str_split(&ret->tally, ' ', &form) && str_eq(form, FORM) &&
           str_split(&ret->tally, ' ', &ret->generation) && ret->generation.len > 0 &&
           str_split(&ret->tally, ' ', &offset) && str_to_i64(offset, &ret->offset) &&
           ret->offset >= 0;
}

static int take(void *arg, const struct bus_record *record)
{
    struct positions *p = arg;
    int64_t partition = partition_of(p, record->key);
    struct position position;
    char *value = NULL;

    if (partition < 0)
        return 0;
    if (!record->tombstone && !parse(record->value, &position))
        return -ERR_BUG;
    if (!record->tombstone && !(value = str_dup(record->value)))
        return -ERR_NOMEM;
    free(p->values[partition]);
    p->values[partition] = value;
    return 0;
}

int positions_read(struct positions *p, const struct bus_settings *settings, struct why *reterr_why)
{
    int64_t next;
    int r = bus_read_to_end(settings, p->log.text, 0, p->next, POSITIONS_READ_MS, take, p, &next,
                            reterr_why);

    if (r == 0)
        p->next = next;
    else if (r == -ERR_NOT_FOUND)
        r = why_set(reterr_why, -ERR_CONFIG, "there is no topic %s: run `trailctl topics apply`",
                    p->log.text);
    else if (r == -ERR_BUG)
        r = why_set(reterr_why, r, "%s: a position of %s in %s cannot be understood", p->log.text,
                    p->group, p->topic);
    return r;
}

bool positions_find(const struct positions *p, struct str generation, int32_t partition,
                    int64_t *ret_offset, struct str *ret_tally)
{
    struct position position;

    if (!p->values[partition] || !parse(str_from(p->values[partition]), &position))
        return false;
    *ret_tally = STR_NONE;
    *ret_offset = BUS_OFFSET_NONE;
    if (str_eq(position.generation, generation)) {
        *ret_offset = position.offset;
        *ret_tally = position.tally;
    }
    return true;
}

int positions_record(const struct positions *p, struct str generation, int32_t partition,
                     int64_t offset, const struct tally *tally, struct position_record *ret)
{
    struct buf value = buf_over(ret->value, sizeof(ret->value) - 1);
    char text[TALLY_TEXT_SIZE];
    int r = tally_render(tally, text);

    if (r < 0)
        return r;
    (void)snprintf(ret->key, sizeof(ret->key), "%s/%s/%d", p->group, p->topic, partition);
    buf_addf(&value, "1 " STR_FMT " %lld %s", STR_ARG(generation), (long long)offset, text);
    ret->value[value.len] = '\0';
    return buf_error(&value);
}
