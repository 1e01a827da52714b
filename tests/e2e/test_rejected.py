"""What was refused comes back: rejected, mended, published again, and then in bucket and history once."""
import json
import signal
import time

import pytest

import load
import proof
import sdk
from wait import eventually

REGION = "cn-hangzhou"
EVENTS = 20

pytestmark = pytest.mark.small


def strict(stack):
    """The stack's configuration, but for services that the catalog does not know."""
    file = stack.run / "strict.conf"
    file.write_text((stack.run / "trailbus.conf").read_text() + "\nnormalizer: { reject_unknown_service = true; };\n")
    return file


def of_a_new_service(account, number):
    return {"eventId": f"rejected-{account}-{number}", "eventName": "Launch", "serviceName": "Rocketry", "eventRW": "Write",
            "eventTime": sdk.iso(time.time()), "recipientAccountId": account}


def rejected(stack, one, *options):
    said = stack.trailctl("rejected", "list", "--account", one.account, "--limit", "1000", "--json", *options)
    return [json.loads(line) for line in said.splitlines()]


def test_what_was_rejected_comes_back_once(stack):
    [one] = proof.auditors(stack, 1, "rejected")
    events = [of_a_new_service(one.account, number) for number in range(EVENTS)]
    records = [(one.account, json.dumps(event).encode()) for event in events]
    stack.stop(f"normalizer@{REGION}")
    try:
        with stack.spawn("normalizer", config=strict(stack), region=REGION, instance="strict") as process:
            load.Sender(stack.env["TRAILBUS_KAFKA"], REGION, records, 1000).join()
            eventually(lambda: len(rejected(stack, one)) == EVENTS)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    finally:
        stack.start(f"normalizer@{REGION}")
    assert {line["reason"] for line in rejected(stack, one)} == {"unknown_service"}
    first = rejected(stack, one)[0]["id"]
    assert json.loads(stack.trailctl("rejected", "show", first)) in events

    stack.trailctl("rejected", "retry", first)
    said = stack.trailctl("rejected", "retry", "--account", one.account)
    assert f"{EVENTS - 1} of {EVENTS - 1} records were published again" in said and "1 more were before" in said
    with pytest.raises(RuntimeError, match="was published again before"):
        stack.trailctl("rejected", "retry", first)
    assert rejected(stack, one) == [] and len(rejected(stack, one, "--retried")) == EVENTS

    proof.wait_until_quiet(stack)
    ids = {event["eventId"] for event in events}
    assert ids <= set(proof.in_buckets(stack, [one])[one.account])
    assert len(one.caller.events(("ServiceName", "Rocketry"))) == EVENTS
    assert rejected(stack, one) == []
    eventually(lambda: reconciled(stack))


def reconciled(stack):
    """Whether every record is accounted for; while events come it may not be for a moment."""
    try:
        return stack.trailctl("reconcile")
    except RuntimeError as error:
        print(error)
        return None
