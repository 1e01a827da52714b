/* test_lookup.c - `trailctl lookup` and `trail list` beside an API that is in a bad mood: a thread here that
 * throttles, gives small pages, fails, and answers with nonsense.
 *
 * services: redis
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cli.h"
#include "rpc/rpc.h"
#include "state/keys.h"
#include "state/state.h"

#include "trailctl.h"

#define REQUESTS_MAX 200
#define DAY_S        86400

/* What the API has, how it behaves, and what it was asked. The thread ends each request before it takes the
 * next, and trailctl has ended before we look: no lock is needed. */
static struct {
    int listening, port;
    int events;       /* in the newest window; each window behind has none */
    int throttled;    /* so many calls are refused first */
    int page_max;     /* a larger page is an InternalError; 0: none */
    const char *body; /* answered with this status to everything, unless NULL */
    int status;
    bool same_token;
    struct {
        int64_t start_s, end_s;
        int max;
    } asked[REQUESTS_MAX];
    int count;
} api;

/* ---- the API ----------------------------------------------------------------------------------- */

static void add_page(const struct rpc_call *call, int max, struct buf *out)
{
    struct str token = rpc_param(call, "NextToken");
    int64_t from = 0, last = api.asked[0].end_s == api.asked[api.count - 1].end_s ? api.events : 0;

    if (token.len)
        assert_true(str_to_i64(str_of(token.at + 1, token.len - 1), &from));
    buf_add_str(out, STR("{\"RequestId\":\"R\",\n\"Events\":["));
    for (int64_t i = from; i < MIN_OF(from + max, last); i++)
        buf_addf(out,
                 "%s{\"eventId\":\"e%lld\", \"n\":1.50,\n \"eventName\":\"Stop\\u0049nstance\"}",
                 i > from ? "," : "", (long long)i);
    buf_add_str(out, STR("]"));
    if (from + max < last || api.same_token)
        buf_addf(out, ",\"NextToken\":\"t%lld\"", (long long)(api.same_token ? 0 : from + max));
    buf_add_str(out, STR("}"));
}

static int answer(const struct rpc_call *call, struct buf *out)
{
    int64_t max = 0;

    assert_true(api.count < REQUESTS_MAX);
    if (api.body) {
        api.count++;
        buf_add_str(out, str_from(api.body));
        return api.status;
    }
    assert_true(time_parse(rpc_param(call, "StartTime"), &api.asked[api.count].start_s));
    assert_true(time_parse(rpc_param(call, "EndTime"), &api.asked[api.count].end_s));
    assert_true(str_to_i64(rpc_param(call, "MaxResults"), &max));
    api.asked[api.count++].max = (int)max;
    if (api.throttled) {
        api.throttled--;
        buf_add_str(out, STR("{\"Code\":\"Throttling.User\",\"Message\":\"Slowly.\"}"));
        return 400;
    }
    if (api.page_max && max > api.page_max) {
        buf_add_str(out, STR("{\"Code\":\"InternalError\",\"Message\":\"Too large.\"}"));
        return 500;
    }
    add_page(call, (int)max, out);
    return 200;
}

/* The head of an HTTP request, as lib/rpc wants it; slices of `text`. */
static void parse_head(char *text, struct rpc_request *ret)
{
    struct str rest = str_from(text), line, target;

    *ret = (struct rpc_request){.body = STR("")};
    assert_true(str_split(&rest, '\n', &line));
    assert_true(str_split(&line, ' ', &ret->method) && str_split(&line, ' ', &target));
    assert_true(str_split(&target, '?', &ret->path));
    ret->query = target.at ? target : STR("");
    while (str_split(&rest, '\n', &line) && str_trim(line).len) {
        struct sign_pair *header = &ret->headers[ret->header_count++];

        assert_true(str_split(&line, ':', &header->name));
        for (size_t i = 0; i < header->name.len; i++) {
            char *c = text + (header->name.at - text) + i;

            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
        }
        header->value = str_trim(line);
    }
}

static void serve_one(int connection)
{
    AUTO(arena_free) struct arena *arena = arena_new(1 << 20);
    AUTO_BUF struct buf body = {0}, all = {0};
    static struct rpc_call call;
    struct rpc_failure failure = {0};
    struct rpc_request request;
    char text[32768];
    size_t len = 0;
    int status;

    do {
        ssize_t got = read(connection, text + len, sizeof(text) - 1 - len);

        if (got <= 0)
            return;
        len += (size_t)got;
        text[len] = '\0';
    } while (!strstr(text, "\r\n\r\n"));
    parse_head(text, &request);
    assert_int_equal(rpc_parse(&request, arena, &call, &failure), 0);
    assert_true(rpc_verify(&request, &call, STR("the-secret")));
    buf_init(&body, 1 << 20);
    buf_init(&all, 1 << 21);
    status = answer(&call, &body);
    buf_addf(&all, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", status,
             body.len);
    buf_add_str(&all, buf_str(&body));
    assert_int_equal(write(connection, all.at, all.len), (ssize_t)all.len);
}

static void *serve(void *arg)
{
    int connection;

    (void)arg;
    while ((connection = accept(api.listening, NULL, NULL)) >= 0) {
        serve_one(connection);
        (void)close(connection);
    }
    return NULL;
}

/* ---- the tests --------------------------------------------------------------------------------- */

static char *redis_url; /* trailctl is told of it where a test says so */

static int setup(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(at);
    static pthread_t thread;
    char address[32];

    (void)state;
    trailctl_find();
    api.listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(api.listening, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(api.listening, 8), 0);
    assert_int_equal(getsockname(api.listening, (struct sockaddr *)&at, &size), 0);
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", ntohs(at.sin_port));
    redis_url = strdup(getenv("TRAILBUS_REDIS"));
    assert_non_null(redis_url);
    assert_int_equal(clearenv(), 0);
    setenv("TRAILBUS_API", address, 1);
    setenv("TRAILBUS_ACCESS_KEY_ID", "the-key", 1);
    setenv("TRAILBUS_ACCESS_KEY_SECRET", "the-secret", 1);
    return pthread_create(&thread, NULL, serve, NULL);
}

static int good_mood(void **state)
{
    (void)state;
    api.count = api.throttled = api.page_max = 0;
    api.events = 0;
    api.body = NULL;
    api.same_token = false;
    return 0;
}

/* The output is exactly the events e0 … e<count-1>, a line each, as they came. */
static void assert_events(int count)
{
    struct str rest = str_from(trailctl_output), line;

    for (int i = 0; i < count; i++) {
        char want[128];

        (void)snprintf(want, sizeof(want),
                       "{\"eventId\":\"e%d\", \"n\":1.50,  \"eventName\":\"Stop\\u0049nstance\"}",
                       i);
        assert_true(str_split(&rest, '\n', &line));
        assert_str_eq(line, str_from(want));
    }
    assert_int_equal(str_trim(rest).len, 0);
}

static void pages_are_followed_to_the_last(void **state)
{
    (void)state;
    api.events = 120;
    assert_int_equal(trailctl_run("lookup --json"), 0);
    assert_events(120);
    assert_int_equal(api.count, 3);
    for (int i = 0; i < 3; i++) { /* the other parameters repeat the first call's */
        assert_int_equal(api.asked[i].start_s, api.asked[0].start_s);
        assert_int_equal(api.asked[i].end_s, api.asked[0].end_s);
        assert_int_equal(api.asked[i].max, 50);
    }
}

static void a_limit_ends_the_walk(void **state)
{
    (void)state;
    api.events = 120;
    assert_int_equal(trailctl_run("lookup --json --limit 60"), 0);
    assert_events(60);
    assert_int_equal(api.count, 2);
    api.count = 0;
    assert_int_equal(trailctl_run("lookup --json --limit 3"), 0);
    assert_events(3);
    assert_int_equal(api.asked[0].max, 3);
    assert_int_equal(api.count, 1);
}

static void people_see_a_table(void **state)
{
    (void)state;
    api.events = 2;
    assert_int_equal(trailctl_run("lookup"), 0);
    assert_non_null(strstr(trailctl_output, "TIME "));
    assert_non_null(strstr(trailctl_output, "StopInstance"));
}

static void throttling_is_waited_out(void **state)
{
    (void)state;
    api.events = 3;
    api.throttled = 3;
    assert_int_equal(trailctl_run("lookup --json"), 0);
    assert_events(3);
    assert_int_equal(api.count, 4);
}

static void ninety_days_are_asked_for_in_windows_that_meet(void **state)
{
    (void)state;
    api.events = 1;
    assert_int_equal(trailctl_run("lookup --json --start -90d"), 0);
    assert_events(1);
    assert_int_equal(api.count, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(api.asked[i].end_s - api.asked[i].start_s <= 30 * DAY_S);
        if (i > 0)
            assert_int_equal(api.asked[i].end_s, api.asked[i - 1].start_s);
    }
    /* a little less than 90 days, so that the walk is not overtaken by the history's end */
    assert_in_range(api.asked[0].end_s - api.asked[2].start_s, 90 * DAY_S - 3600, 90 * DAY_S);
}

static void a_page_that_is_too_large_is_asked_for_in_parts(void **state)
{
    (void)state;
    api.events = 30;
    api.page_max = 10;
    assert_int_equal(trailctl_run("lookup --json"), 0);
    assert_events(30);
    api.page_max = 0;
    good_mood(NULL);
    api.body = "{\"Code\":\"InternalError\",\"Message\":\"Broken.\"}";
    api.status = 500;
    assert_int_equal(trailctl_run("lookup"), 1);
    assert_non_null(strstr(trailctl_output, "InternalError: Broken."));
}

static void answers_that_make_no_sense_are_failures(void **state)
{
    static const struct {
        int status;
        const char *body;
    } table[] = {
        {200, ""},
        {200, "<html>a captive portal</html>"},
        {200, "{\"Events\":{}}"},
        {200, "{}"},
        {200, "[]"},
        {502, "<html>Bad Gateway</html>"},
        {404, "{}"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        api.body = table[i].body;
        api.status = table[i].status;
        assert_int_equal(trailctl_run("lookup"), 1);
        assert_int_equal(trailctl_run("lookup --json"), 1);
        assert_int_equal(trailctl_run("trail list"), 1);
        assert_in_range(trailctl_run("trail status some-trail"), 0, 1);
    }
    api.body = "{\"TrailList\":[1,{\"Name\":{}},[]],\"OssBucketStatus\":3}";
    api.status = 200;
    assert_int_equal(trailctl_run("trail list"), 0);
    assert_int_equal(trailctl_run("trail list --json"), 0);
    assert_int_equal(trailctl_run("trail status some-trail"), 0);
}

static void events_of_unexpected_shapes_are_no_reason_to_crash(void **state)
{
    (void)state;
    api.status = 200;
    api.body =
        "{\"Events\":[1,\"x\",null,[],{},{\"userIdentity\":7,\"eventName\":{}}],\"NextToken\":5}";
    assert_int_equal(trailctl_run("lookup"), 0);
    assert_int_equal(trailctl_run("lookup --json"), 0);
    assert_non_null(strstr(trailctl_output, "\nnull\n"));
}

static void answer_with_a_trail(void)
{
    api.status = 200;
    api.body = "{\"TrailList\":[{\"Name\":\"audit\",\"HomeRegion\":\"cn-hangzhou\",\"TrailArn\":"
               "\"acs:actiontrail:cn-hangzhou:1001:trail/audit\",\"Status\":\"Enable\"}]}";
}

/* What became of its events is in Redis, which only operators read. */
static void how_a_trail_is_does_not_depend_on_redis(void **state)
{
    (void)state;
    answer_with_a_trail();
    assert_int_equal(trailctl_run("trail status audit"), 0);
    assert_true(trailctl_said("delivers since"));
    assert_false(trailctl_said("counts"));
    setenv("TRAILBUS_REDIS", "redis://127.0.0.1:1/0", 1);
    assert_int_equal(trailctl_run("trail status audit"), 0);
    unsetenv("TRAILBUS_REDIS");
    assert_true(trailctl_said("delivers since"));
    assert_true(trailctl_said("Redis does not answer: they are not known"));
}

static void add_trail(struct state *redis, const char *id, const char *name, const char *region)
{
    struct state_key trail = state_key_trail(str_from(id)),
                     all = state_key_account_trails(STR("1001")),
                     counts = state_key_trail_counts(str_from(id), STR("cn-beijing"));

    STATE_ADD(redis, STR("SADD"), state_key_str(&all), str_from(id));
    STATE_ADD(redis, STR("HSET"), state_key_str(&trail), STR("name"), str_from(name),
              STR("home_region"), str_from(region));
    STATE_ADD(redis, STR("HSET"), state_key_str(&counts), STR("c/0"), STR("current 1 9 0 3 4 0 1"),
              STR("c/1"), STR("parked 1 9 0 30 40 5 10"));
}

static void what_became_of_a_trail_s_events_is_added_up(void **state)
{
    AUTO(state_close) struct state *redis = NULL;
    struct why why = {0};

    (void)state;
    assert_ok(state_open(str_from(redis_url), &redis, &why), why);
    STATE_ADD(redis, STR("FLUSHDB"));
    add_trail(redis, "T1", "audit", "cn-beijing"); /* of the same name, in another region */
    add_trail(redis, "T2", "other", "cn-hangzhou");
    assert_ok(state_flush(redis, &why), why);
    answer_with_a_trail();
    setenv("TRAILBUS_REDIS", redis_url, 1);
    assert_int_equal(trailctl_run("trail status audit"), 0);
    assert_false(trailctl_said("counts"));
    add_trail(redis, "T3", "audit", "cn-hangzhou");
    assert_ok(state_flush(redis, &why), why);
    assert_int_equal(trailctl_run("trail status audit"), 0);
    unsetenv("TRAILBUS_REDIS");
    assert_true(trailctl_said("cn-beijing: 33 delivered, 44 filtered, 11 waiting, 5 offsets lost "
                              "(parked)\n"));
}

static void a_token_that_leads_nowhere_is_not_followed_for_ever(void **state)
{
    (void)state;
    api.events = 1000;
    api.same_token = true;
    assert_int_equal(trailctl_run("lookup --json"), 1);
    assert_true(api.count < 10);
}

static void what_was_asked_wrongly_is_not_sent(void **state)
{
    (void)state;
    assert_int_equal(trailctl_run("lookup --attribute User=a --attribute EventName=b"), 2);
    assert_int_equal(trailctl_run("lookup --attribute Nobody=a"), 2);
    assert_int_equal(trailctl_run("lookup --attribute A=1 --attribute B=2 --attribute C=3"), 2);
    assert_int_equal(trailctl_run("lookup --start -91d"), 2);
    assert_int_equal(trailctl_run("lookup --start now --end -1h"), 2);
    assert_int_equal(trailctl_run("lookup --start soon"), 2);
    assert_int_equal(trailctl_run("lookup --limit many"), 2);
    assert_int_equal(api.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(pages_are_followed_to_the_last, good_mood),
        cmocka_unit_test_setup(a_limit_ends_the_walk, good_mood),
        cmocka_unit_test_setup(people_see_a_table, good_mood),
        cmocka_unit_test_setup(throttling_is_waited_out, good_mood),
        cmocka_unit_test_setup(ninety_days_are_asked_for_in_windows_that_meet, good_mood),
        cmocka_unit_test_setup(a_page_that_is_too_large_is_asked_for_in_parts, good_mood),
        cmocka_unit_test_setup(answers_that_make_no_sense_are_failures, good_mood),
        cmocka_unit_test_setup(events_of_unexpected_shapes_are_no_reason_to_crash, good_mood),
        cmocka_unit_test_setup(how_a_trail_is_does_not_depend_on_redis, good_mood),
        cmocka_unit_test_setup(what_became_of_a_trail_s_events_is_added_up, good_mood),
        cmocka_unit_test_setup(a_token_that_leads_nowhere_is_not_followed_for_ever, good_mood),
        cmocka_unit_test_setup(what_was_asked_wrongly_is_not_sent, good_mood),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
