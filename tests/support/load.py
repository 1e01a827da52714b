"""Events of invented services, the same for the same seed: what an end-to-end test sends, and what it wants back.

Every event carries all shapes that the way through could spoil: number tokens that a double would change, text outside ASCII,
escapes, empty objects, members that nobody knows.
"""
import json
import os
import random
import subprocess
import sys
import threading
import time

from confluent_kafka import Producer

SERVICES = [
    ("Ecs", ["StopInstance", "StartInstance", "DescribeInstances", "DeleteDisk"], "ACS::ECS::Instance"),
    ("Rds", ["CreateDBInstance", "DescribeDBInstances", "DeleteDatabase"], "ACS::RDS::DBInstance"),
    ("Slb", ["CreateLoadBalancer", "DescribeLoadBalancers"], "ACS::SLB::LoadBalancer"),
    ("Vpc", ["CreateVpc", "DescribeVpcs", "DeleteVSwitch"], "ACS::VPC::VPC"),
]
TEXTS = ["plain", "Grüße aus Köln", "名前と値", "quote \" backslash \\ slash /", "tab\tand\nline", "\u2028 \U0001f600", ""]


def seed():
    """Of this run: TRAILBUS_TEST_SEED, else a new one; said, so that the run can be repeated."""
    chosen = int(os.environ.get("TRAILBUS_TEST_SEED") or random.randrange(1 << 32))
    print(f"TRAILBUS_TEST_SEED={chosen}")
    return chosen


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


class Sender(threading.Thread):
    """Publishes events ((account, bytes), …) as any Kafka client would, at a rate; join() tells of those that failed."""

    def __init__(self, brokers, region, events, rate, content_type="application/json"):
        super().__init__(daemon=True)
        self._producer = Producer({"bootstrap.servers": brokers, "acks": "all", "enable.idempotence": True,
                                   "partitioner": "murmur2_random", "linger.ms": 5, "log_level": 2})
        self._topic, self._events, self._rate = f"raw.{region}", events, rate
        self._headers = [("content-type", content_type.encode())]
        self._error = None
        self.acknowledged = 0
        self.start()

    def run(self):
        try:
            self._send_all()
        except Exception as error:  # told by join()
            self._error = error

    def _send_all(self):
        began = time.monotonic()
        for number, (account, value) in enumerate(self._events):
            ahead = number / self._rate - (time.monotonic() - began)
            self._producer.poll(max(ahead, 0))
            self._producer.produce(self._topic, value, account, headers=self._headers, on_delivery=self._delivered)
        if self._producer.flush(60):
            raise TimeoutError("events were not acknowledged within 60 s")

    def _delivered(self, error, _):
        self._error = self._error or (error and RuntimeError(error.str()))
        self.acknowledged += not error

    def join(self, timeout=None):
        super().join(timeout)
        if self.is_alive():
            raise TimeoutError("the events are not all sent")
        if self._error:
            raise self._error


class Load:
    """A process of its own that publishes events(…) at a rate, so that the test's threads do not hold it up."""

    def __init__(self, brokers, rate, seed, count, accounts, region, now):
        arguments = {"brokers": brokers, "rate": rate, "seed": seed, "count": count, "accounts": accounts,
                     "region": region, "now": now}
        self._process = subprocess.Popen([sys.executable, __file__, json.dumps(arguments)])

    def join(self, timeout=None):
        """Returns when all is acknowledged."""
        assert self._process.wait(timeout) == 0, "the events could not be published"

    def ended(self):
        return self._process.poll() is not None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()


def main(brokers, rate, seed, count, accounts, region, now):
    made = events(seed, count, accounts, region, now)
    Sender(brokers, region, ((event["recipientAccountId"], as_json(event)) for event in made), rate).join()


def as_json(event):
    """An event as two senders would write it: with escapes, and in plain UTF-8."""
    return json.dumps(event, ensure_ascii=event["sequence"] % 2 == 0).encode()


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


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
