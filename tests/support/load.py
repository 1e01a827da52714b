"""Events of invented services, the same for the same seed: what an end-to-end test sends, and what it wants back.

Every event carries all shapes that the way through could spoil: number tokens that a double would change, text outside ASCII,
escapes, empty objects, members that nobody knows.
"""
import json
import random
import time

SERVICES = [
    ("Ecs", ["StopInstance", "StartInstance", "DescribeInstances", "DeleteDisk"], "ACS::ECS::Instance"),
    ("Rds", ["CreateDBInstance", "DescribeDBInstances", "DeleteDatabase"], "ACS::RDS::DBInstance"),
    ("Slb", ["CreateLoadBalancer", "DescribeLoadBalancers"], "ACS::SLB::LoadBalancer"),
    ("Vpc", ["CreateVpc", "DescribeVpcs", "DeleteVSwitch"], "ACS::VPC::VPC"),
]
TEXTS = ["plain", "Grüße aus Köln", "名前と値", "quote \" backslash \\ slash /", "tab\tand\nline", "\u2028 \U0001f600", ""]


def account_ids(count):
    return [str(1000000000010000 + n) for n in range(count)]


def event(rng, number, accounts, region, now=None):
    """One event as a service sends it, as a dict in the order of its members."""
    service, names, resource = rng.choice(SERVICES)
    name = rng.choice(names)
    account = rng.choice(accounts)
    user = rng.choice(["alice", "bob", "carol"])
    when = int(now if now is not None else time.time()) - rng.randrange(0, 600)
    made = {
        "eventId": f"{rng.getrandbits(64):016x}-{number}",
        "eventVersion": "1",
        "eventType": "ApiCall",
        "eventName": name,
        "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when)),
        "eventSource": f"{service.lower()}.{region}.aliyuncs.com",
        "serviceName": service,
        "acsRegion": region,
        "requestId": f"{rng.getrandbits(64):016X}",
        "userIdentity": {"type": "ram-user", "principalId": f"2{rng.getrandbits(40)}", "accountId": account,
                         "accessKeyId": f"LTAI{rng.getrandbits(48):012x}", "userName": user},
        "recipientAccountId": account,
        "sourceIpAddress": f"203.0.113.{rng.randrange(1, 255)}",
        "userAgent": rng.choice(["AlibabaCloud (Linux; x86_64) Python/3.11", "Terraform/1.5", rng.choice(TEXTS)]),
        "requestParameters": {"InstanceId": f"i-{rng.getrandbits(40):010x}", "Force": rng.random() < 0.5,
                              "Text": rng.choice(TEXTS), "Count": rng.randrange(0, 1 << 53)},
        "responseElements": {"Items": [{"n": n} for n in range(rng.randrange(0, 4))], "Empty": {}},
        "referencedResources": {resource: [f"r-{rng.getrandbits(40):010x}" for _ in range(rng.randrange(1, 3))]},
        "additionalEventData": {"Scheme": "https"},
        "sequence": number,
        "somethingNew": [None, True, {"deep": [1, 2.5, -3]}],
    }
    if rng.random() < 0.1:
        made["errorCode"] = "Forbidden.Unauthorized"
        made["errorMessage"] = rng.choice(TEXTS) or "no"
    return made


def events(seed, count, accounts, region, now=None):
    rng = random.Random(seed)
    for number in range(count):
        yield event(rng, number, accounts, region, now)


def lost_fields(sent, got, path=""):
    """What of `sent` is missing or changed in `got`: a list of paths, empty when all came back."""
    if isinstance(sent, dict) and isinstance(got, dict):
        found = []
        for key, value in sent.items():
            if key not in got:
                found.append(f"{path}/{key} is missing")
            else:
                found += lost_fields(value, got[key], f"{path}/{key}")
        return found
    if type(sent) is not type(got) or sent != got:
        return [f"{path}: {json.dumps(sent)} became {json.dumps(got)}"]
    return []
