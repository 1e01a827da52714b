/* secrets.c - access keys: secrets sealed and opened, temporary keys, forced changes, new names. */
#include "control/control.h"

#define TOKEN_PURPOSE  "security tokens"
#define TOKEN_SIZE_MAX 1024

#define FORCED_SIZE_MAX 4096 /* of what is signed */

int control_secret_seal(const struct crypto_key *master, struct str key_id, struct str secret,
                        struct buf *out)
{
    struct crypto_key key = crypto_derive(master, STR("access key secrets"));
    AUTO_BUF struct buf sealed = {0};
    int r;

    buf_init(&sealed, 4096);
    r = crypto_seal(&key, key_id, secret, &sealed);
    if (r == 0)
        buf_add_base64(out, sealed.at, sealed.len);
    crypto_wipe(&key, sizeof(key));
    return r < 0 ? r : buf_error(out);
}

int control_secret_open(const struct crypto_key *master, const struct control_key *k,
                        struct buf *out)
{
    struct crypto_key key = crypto_derive(master, STR("access key secrets"));
    AUTO_BUF struct buf sealed = {0};
    int r;

    buf_init(&sealed, 4096);
    r = buf_add_base64_decoded(&sealed, k->sealed);
    if (r == 0)
        r = crypto_open(&key, k->id, buf_str(&sealed), out);
    crypto_wipe(&key, sizeof(key));
    return r;
}

/* ---- temporary keys ---------------------------------------------------------------------------- */

/* Of what is sealed in a token: a line each. None of them can hold a line's end. */
enum {
    LINE_KEY,
    LINE_ACCOUNT,
    LINE_USER,
    LINE_USER_ID,
    LINE_SECRET,
    LINE_CREATED,
    LINE_EXPIRES,
    LINES
};

int control_session_seal(const struct crypto_key *master, const struct control_session *s,
                         struct buf *ret_token)
{
    struct crypto_key key = crypto_derive(master, STR(TOKEN_PURPOSE));
    AUTO_BUF struct buf plain = {0}, sealed = {0};
    int r;

    buf_init(&plain, TOKEN_SIZE_MAX);
    buf_init(&sealed, TOKEN_SIZE_MAX);
    buf_addf(&plain, STR_FMT "\n" STR_FMT "\n" STR_FMT "\n" STR_FMT "\n" STR_FMT "\n%lld\n%lld",
             STR_ARG(s->key), STR_ARG(s->account), STR_ARG(s->user), STR_ARG(s->user_id),
             STR_ARG(s->secret), (long long)s->created_s, (long long)s->expires_s);
    r = buf_error(&plain);
    if (r == 0)
        r = crypto_seal(&key, STR(TOKEN_PURPOSE), buf_str(&plain), &sealed);
    if (r == 0)
        buf_add_base64(ret_token, sealed.at, sealed.len);
    crypto_wipe(plain.at, plain.len);
    crypto_wipe(&key, sizeof(key));
    return r < 0 ? r : buf_error(ret_token);
}

static int parse_session(struct str text, struct control_session *ret)
{
    struct str lines[LINES], rest = text;
    size_t count = 0;

    while (count < LINES && str_split(&rest, '\n', &lines[count]))
        count++;
    if (count < LINES || rest.at)
        return -ERR_INVALID;
    *ret = (struct control_session){.key = lines[LINE_KEY],
                                    .account = lines[LINE_ACCOUNT],
                                    .user = lines[LINE_USER],
                                    .user_id = lines[LINE_USER_ID],
                                    .secret = lines[LINE_SECRET]};
    return str_to_i64(lines[LINE_CREATED], &ret->created_s) &&
                   str_to_i64(lines[LINE_EXPIRES], &ret->expires_s)
               ? 0
               : -ERR_INVALID;
}

int control_session_open(const struct crypto_key *master, struct str token, struct buf *plain,
                         struct control_session *ret)
{
    struct crypto_key key = crypto_derive(master, STR(TOKEN_PURPOSE));
    AUTO_BUF struct buf sealed = {0};
    int r;

    buf_init(&sealed, TOKEN_SIZE_MAX);
    r = buf_add_base64_decoded(&sealed, token);
    if (r == 0)
        r = crypto_open(&key, STR(TOKEN_PURPOSE), buf_str(&sealed), plain);
    crypto_wipe(&key, sizeof(key));
    if (r == -ERR_LIMIT) /* longer than any of ours */
        return -ERR_INVALID;
    return r < 0 ? r : parse_session(buf_str(plain), ret);
}

/* ---- forced changes ---------------------------------------------------------------------------- */

/* A line each: neither access keys nor actions nor names of trails that are taken hold a line's end, and the time
 * comes first, so that no two requests have the same text. */
static void sign_force(const struct crypto_key *master, const struct control_force *f,
                       struct str time, struct buf *out)
{
    struct crypto_key key = crypto_derive(master, STR("forced changes"));
    AUTO_BUF struct buf text = {0};
    struct sha256 signature;

    buf_init(&text, FORCED_SIZE_MAX);
    buf_addf(&text, STR_FMT "\n" STR_FMT "\n" STR_FMT "\n" STR_FMT "\n" STR_FMT, STR_ARG(time),
             STR_ARG(f->key), STR_ARG(f->nonce), STR_ARG(f->action), STR_ARG(f->trail));
    signature = hmac_sha256(str_of((const char *)key.bytes, sizeof(key.bytes)), buf_str(&text));
    if (buf_error(&text) == 0)
        buf_add_base64(out, (const char *)signature.bytes, sizeof(signature.bytes));
    else if (out->error == 0)
        out->error = buf_error(&text);
    crypto_wipe(&key, sizeof(key));
}

void control_force_sign(const struct crypto_key *master, const struct control_force *force,
                        int64_t now_s, struct buf *ret_token)
{
    AUTO_BUF struct buf time = {0};

    buf_init(&time, FORCE_SIZE_MAX);
    buf_addf(&time, "%lld", (long long)now_s);
    buf_addf(ret_token, STR_FMT ".", STR_ARG(buf_str(&time)));
    sign_force(master, force, buf_str(&time), ret_token);
}

bool control_force_holds(const struct crypto_key *master, const struct control_force *force,
                         struct str token, int64_t now_s)
{
    AUTO_BUF struct buf expected = {0};
    struct str signature = token, time;
    int64_t time_s;

    if (!str_split(&signature, '.', &time) || !str_to_i64(time, &time_s) ||
        time_s < now_s - FORCE_TTL_S || time_s > now_s + FORCE_TTL_S)
        return false;
    buf_init(&expected, FORCE_SIZE_MAX);
    sign_force(master, force, time, &expected);
    return buf_error(&expected) == 0 && crypto_equal(buf_str(&expected), signature);
}

/* ---- new names --------------------------------------------------------------------------------- */

/* Uniform over the alphabet: bytes that would favour its beginning are drawn again. */
static void make_name(char *to, size_t len, struct str alphabet)
{
    unsigned limit = 256 - 256 % (unsigned)alphabet.len;

    for (size_t i = 0; i < len;) {
        unsigned char b;

        crypto_random(&b, 1);
        if (b < limit)
            to[i++] = alphabet.at[b % alphabet.len];
    }
    to[len] = '\0';
}

static const struct str alphanumerics =
    STR("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");

void control_make_account_id(char ret[ACCOUNT_ID_SIZE + 1])
{
    make_name(ret, ACCOUNT_ID_SIZE, STR("0123456789"));
    ret[0] = '1';
}

void control_make_user_id(char ret[USER_ID_SIZE + 1])
{
    make_name(ret, USER_ID_SIZE, STR("0123456789"));
    ret[0] = '2';
}

void control_make_key_id(char ret[ACCESS_KEY_ID_SIZE + 1])
{
    memcpy(ret, "LTAI", 4);
    make_name(ret + 4, ACCESS_KEY_ID_SIZE - 4, alphanumerics);
}

void control_make_session_id(char ret[SESSION_ID_SIZE + 1])
{
    memcpy(ret, SESSION_ID_PREFIX, 4);
    make_name(ret + 4, SESSION_ID_SIZE - 4, alphanumerics);
}

void control_make_secret(char ret[ACCESS_KEY_SECRET_SIZE + 1])
{
    make_name(ret, ACCESS_KEY_SECRET_SIZE, alphanumerics);
}
