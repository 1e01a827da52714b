"""What was sent against what is found, in the buckets of trails and from LookupEvents: each event once, unchanged."""
import collections
import concurrent.futures

import botocore.exceptions

import ledger
import load
import sdk
import topics
from wait import eventually

QUIET_S = 120
LATE_S = 60
SHOWN = 5

Auditor = collections.namedtuple("Auditor", "caller account bucket prefix")


def auditors(stack, count, name, bucket="audit", **trail):
    """New accounts, each with a trail that is started, below prefixes of its own."""
    made = [Auditor(caller, caller.account["accountId"], bucket, f"{name}-{number:02d}")
            for number, caller in enumerate(sdk.callers(stack, count))]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: sdk.logging_trail(one.caller, "trail-1", one.bucket, one.prefix, **trail), made))
    return made


def inputs(region):
    """The topic that each worker reads."""
    return {"normalizer": f"raw.{region}", "delivery": f"events.{region}", "history": f"events.{region}"}


def group(worker, region):
    return f"trailbus.{worker}.{region}"


def wait_until_quiet(stack, region="cn-hangzhou", seconds=QUIET_S, workers=("normalizer", "history", "delivery")):
    """Returns when the groups have committed behind every record."""
    brokers = stack.env["TRAILBUS_KAFKA"]
    for worker in workers:
        eventually(lambda: not is_behind(brokers, worker, region), seconds, every=0.3, what=f"{worker} has committed all")


def is_behind(brokers, worker, region):
    topic = inputs(region)[worker]
    committed = topics.committed_offsets(brokers, group(worker, region), topic)
    return topics.records_behind(brokers, topic, committed, most=1) > 0


def in_buckets(stack, who, region="cn-hangzhou", quiet=True):
    """{account: {event id: event}} of what lies in the auditors' buckets, held against rule 18, `control` and the log. What is parked
    does not hold the group's offset (rule 13), so a quiet group may have something to deliver yet: that is waited for, and so is a store
    that has just come back and cannot read yet."""
    brokers = stack.env["TRAILBUS_KAFKA"]
    control, log = ledger.read_control(brokers), ledger.read_log(brokers, f"events.{region}")

    def read(one):
        try:
            return ledger.read(stack.s3(), control, stack.master_key(), one.bucket, one.prefix, log, quiet)
        except ledger.StillWaiting as waiting:
            print(waiting)
        except botocore.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                raise
            print(error)
        return None

    return {one.account: eventually(lambda one=one: read(one), LATE_S, every=1).events for one in who}


def in_history(who, start_s, end_s, *attributes):
    """{account: {event id: event}} of all that LookupEvents gives: of half of the accounts oldest first."""
    def ask(number, one):
        events = one.caller.events(*attributes, start_time=sdk.iso(start_s), end_time=sdk.iso(end_s),
                                   direction=["FORWARD", "BACKWARD"][number % 2])
        found = {event["eventId"]: event for event in events}
        assert len(found) == len(events), f"account {one.account}: LookupEvents gives an event twice"
        return one.account, found

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return dict(pool.map(ask, range(len(who)), who))


def assert_same(sent, found, where):
    """`found` ({account: {event id: event}}) has every sent event once, with all that it was sent with; besides those only
    events of the API's own calls."""
    missing, changed, expected = [], [], collections.Counter()
    for event in sent:
        account = event["recipientAccountId"]
        expected[account] += 1
        got = found.get(account, {}).get(event["eventId"])
        if got is None:
            missing.append(event["eventId"])
        else:
            changed += [f"{event['eventId']} {lost}" for lost in load.lost_fields(event, got)]
    assert not missing, f"{where} lacks {len(missing)} events: {missing[:SHOWN]}"
    assert not changed, f"{where} has changed events: {changed[:SHOWN]}"
    for account, events in found.items():
        others = [event["eventId"] for event in events.values() if event["serviceName"] != "Actiontrail"]
        assert len(others) == expected[account], f"{where}: account {account} has events that nobody sent"
