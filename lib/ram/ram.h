/* ram.h - policies of Resource Access Management: read, and asked what they say of a request.
 *
 *     {"Version": "1",
 *      "Statement": [{"Effect":   "Allow" or "Deny",
 *                     "Action":   "actiontrail:Get*", or a list,
 *                     "Resource": "acs:actiontrail:*:*:trail/audit-*", or "*", or a list}]}
 *
 * A statement speaks of a request when one of its actions and one of its resources match. '*' stands for any
 * number of characters; in a resource it does not reach over one of the first four ':'. Actions match in any
 * case of letters, resources exactly. A statement that forbids goes before all that allow; what no statement
 * speaks of is not allowed.
 *
 * What a document says beyond that (Condition, NotAction, …) makes it invalid: a restriction that is passed
 * over would be a right that nobody gave.
 *
 * Layer: pure. DEPS base, jsondoc.
 */
#ifndef RAM_RAM_H
#define RAM_RAM_H

#include "base/base.h"

#define RAM_DOCUMENT_SIZE_MAX 6144
#define RAM_STATEMENTS_MAX    64
#define RAM_PATTERNS_MAX      128 /* actions, or resources, of one statement */
#define RAM_PATTERN_SIZE_MAX  512

/* acs:<service>:<region>:<account>:<relative>, taken apart. An operation that is about no single resource
 * has the relative name "*", which only a pattern with a '*' there matches. */
struct ram_resource {
    struct str service, region, account, relative;
};

struct ram_request {
    struct str action; /* "actiontrail:StopLogging" */
    struct ram_resource resource;
};

/* The greatest of several is the one that counts. */
enum ram_verdict {
    RAM_SILENT, /* speaks of it nowhere */
    RAM_ALLOWS,
    RAM_FORBIDS,
};

struct ram_policy;

/* -ERR_INVALID with what is wrong and where, -ERR_LIMIT, -ERR_NOMEM. Keeps nothing of `document`. */
MUST_CHECK int ram_policy_parse(struct str document, struct ram_policy **ret,
                                struct why *reterr_why);
void ram_policy_free(struct ram_policy *policy); /* takes NULL */
AUTO_DEFINE(struct ram_policy, ram_policy_free)

enum ram_verdict ram_policy_verdict(const struct ram_policy *policy,
                                    const struct ram_request *request);

/* The policies that are there without being made; start with 0; false after the last. */
bool ram_system_policy(size_t i, struct str *ret_name, struct str *ret_document);
/* Names that begin like theirs are kept for them. */
#define RAM_SYSTEM_PREFIX "Aliyun"

#endif
