/* secrets.c - access keys: secrets sealed and opened, temporary keys, new names. */
#include "control/control.h"

#define TOKEN_PURPOSE  "security tokens"
#define TOKEN_SIZE_MAX 1024

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
