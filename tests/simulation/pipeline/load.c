/* load.c - services that publish to `raw`, and what has to become of each record. */
#include <stdio.h>

#include "kafka.h"

#define BURST_MAX 5

struct load {
    struct published *all;
    int64_t count, ids;
};

void load_new(void)
{
    sim->load = keep(sizeof(*sim->load));
}

const struct published *load_all(void)
{
    return sim->load->all;
}

struct str load_account(int account)
{
    static const char *const names[ACCOUNTS] = {"1001", "1002", "1003"};

    return str_from(names[account]);
}

/* One that the window still knows, whoever rebuilds it: by its offset. */
static struct published *known_one(struct str region, struct str account)
{
    struct topic_name name = topic_name(TOPIC_RAW, region);
    const struct topic *topic = kafka_topic(name.text);
    int32_t partition = bus_partition_of(account, topic->partition_count);
    int64_t skip = between(0, 5);

    for (struct published *p = sim->load->all; p; p = p->next)
        if (p->expect == EXPECT_EVENT && p->topic == topic && p->partition == partition &&
            str_eq(p->account, account) &&
            topic->partitions[p->partition].end - p->offset < sim->window_events - 1 && skip-- <= 0)
            return p;
    return NULL;
}

static struct str render(const struct published *p, const char *more)
{
    char text[512], time[TIME_TEXT_SIZE];

    time_format(p->said_s, time);
    (void)snprintf(
        text, sizeof(text),
        "{\"eventId\":\"%s\",\"eventName\":\"Act\",\"serviceName\":\"Sim\",\"eventTime\":\"%s\","
        "\"recipientAccountId\":\"" STR_FMT "\",\"acsRegion\":\"" STR_FMT
        "\",\"eventRW\":\"%s\",\"isGlobal\":%s%s}",
        p->id, time, STR_ARG(p->account), STR_ARG(p->target), p->write ? "Write" : "Read",
        p->global ? "true" : "false", more);
    return keep_str(str_from(text));
}

static struct published *new_event(struct str region, struct str account)
{
    struct published *p = keep(sizeof(*p));

    *p = (struct published){.expect = EXPECT_EVENT,
                            .account = account,
                            .region = region,
                            .said_s = broker_now_ms() / 1000,
                            .global = chance(35),
                            .write = chance(60)};
    p->target = chance(80) ? region : sim->regions[between(0, (int64_t)sim->region_count - 1)];
    (void)snprintf(p->id, sizeof(p->id), "event-%lld", (long long)++sim->load->ids);
    return p;
}

static void append(struct published *p, struct str bytes)
{
    static const struct bus_header json = {HEADER_CONTENT_TYPE,
                                           {CONTENT_TYPE_JSON, sizeof(CONTENT_TYPE_JSON) - 1}};
    struct topic_name name = topic_name(TOPIC_RAW, p->region);
    struct topic *topic = kafka_topic(name.text);

    p->topic = topic;
    p->partition = bus_partition_of(p->account, topic->partition_count);
    p->offset = kafka_append(topic, p->partition, p->account, bytes, &json, 1, NULL);
    p->at_ms = now_ms();
    p->next = sim->load->all;
    sim->load->all = p;
    sim->load->count++;
}

static void publish_one(void)
{
    struct str region = sim->regions[between(0, (int64_t)sim->region_count - 1)];
    struct str account = load_account((int)between(0, ACCOUNTS - 1));
    struct topic_name raw = topic_name(TOPIC_RAW, region);
    struct published *known, *p;
    int64_t what = between(0, 99);

    if (!kafka_topic(raw.text)) /* deleted: the service keeps what it has */
        return;
    known = known_one(region, account);
    if (known && what < 25) { /* sent again: no answer came, or somebody lies */
        p = keep(sizeof(*p));
        *p = *known;
        p->expect = what < 20 ? EXPECT_DUPLICATE : EXPECT_CONFLICT;
        append(p, render(p, what < 20 ? "" : ",\"eventVersion\":\"2\""));
        return;
    }
    p = new_event(region, account);
    p->expect = what < 30 ? EXPECT_REJECTED : what < 34 ? EXPECT_DROPPED : EXPECT_EVENT;
    append(p, p->expect == EXPECT_REJECTED  ? STR("{\"eventName\":")
              : p->expect == EXPECT_DROPPED ? render(p, ",\"eventCategory\":\"Data\"")
                                            : render(p, ""));
}

void load_publish(void)
{
    for (int64_t n = between(1, BURST_MAX); n > 0; n--)
        publish_one();
}
