/* A policy: its first line is an action, its second the relative name of a resource, the rest the document. What
 * parses says the same of a request twice and in any case of the action's letters. The whole input is no security
 * token of ours either.
 *
 * links: control ram
 */
#include "fuzz.h"

#include "control/control.h"
#include "ram/ram.h"

static void upper(const struct str *from, char *to)
{
    for (size_t i = 0; i < from->len; i++)
        to[i] = from->at[i] >= 'a' && from->at[i] <= 'z' ? (char)(from->at[i] - 32) : from->at[i];
}

static void check_policy(struct str text)
{
    AUTO(ram_policy_free) struct ram_policy *policy = NULL;
    struct ram_request request = {
        .resource = {STR("actiontrail"), STR("cn-hangzhou"), STR("1000000000000001"), STR("")}};
    AUTO_FREE char *loud = NULL;
    struct why why = {0};
    enum ram_verdict verdict;
    int r;

    if (!fuzz_line(&text, &request.action) || !fuzz_line(&text, &request.resource.relative))
        return;
    r = ram_policy_parse(text, &policy, &why);
    CHECK(r == 0 || ((r == -ERR_INVALID || r == -ERR_LIMIT) && why.text[0]));
    if (r < 0)
        return;
    verdict = ram_policy_verdict(policy, &request);
    CHECK(verdict == RAM_SILENT || verdict == RAM_ALLOWS || verdict == RAM_FORBIDS);
    loud = malloc(request.action.len + 1);
    CHECK(loud);
    upper(&request.action, loud);
    request.action = str_of(loud, request.action.len);
    CHECK(ram_policy_verdict(policy, &request) == verdict);
}

static void check_token(struct str text)
{
    static const struct crypto_key master = {{7}};
    AUTO_BUF struct buf plain = {0};
    struct control_session session;

    buf_init(&plain, 4096);
    CHECK(control_session_open(&master, text, &plain, &session) == -ERR_INVALID);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    check_policy(fuzz_input(at, len));
    check_token(fuzz_input(at, len));
    return 0;
}
