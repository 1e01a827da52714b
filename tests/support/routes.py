"""Where the router has to have sent each event of `global`, computed anew from the settings before it in the log; with none of its code."""
import collections
import json

import ledger

FOR_DELIVERY, FOR_HISTORY = 1, 2


def in_force(versions, topic, partition, offset):
    """The version whose change record is the last one before the offset; None: there is none."""
    found = None
    for version in versions:
        changed = ledger.offset_in(version["offsets"], topic, partition)
        if changed is not None and changed < offset:
            found = version
    return found


def wants(version, one):
    return (version and version["logging"] and not version["deleted"]
            and version["rw"].upper() in ("ALL", one["rw"]))


def copies_in(logs):
    """{origin of the event: {region: (purpose, partition, offset)}} of global events in all regions' logs ({region: ledger.Log})."""
    copies = collections.defaultdict(dict)
    for region, log in logs.items():
        for (partition, offset), one in log.events.items():
            if one and one["global"]:
                key = json.dumps(one["origin"], sort_keys=True)
                assert region not in copies[key], f"{one['id']} is in events.{region} twice"
                assert one["region"] == region
                copies[key][region] = (one["purpose"], partition, offset)
    return copies


def check(control, everywhere, logs):
    """Each event of `global` (a ledger.Log) has the copies that the settings before it say, and there are no others. How many
    events. The first region of `logs` is the one whose history keeps them."""
    copies, count, storage = copies_in(logs), 0, next(iter(logs))
    for (partition, offset), one in everywhere.events.items():
        if not one:
            continue
        expected, got = {storage: FOR_HISTORY}, copies.pop(json.dumps(one["origin"], sort_keys=True), {})
        for versions in control.values():
            if versions[0]["account"] != one["account"]:
                continue
            home, before = versions[0]["homeRegion"], in_force(versions, "global", partition, offset)
            if wants(before, one):
                expected[home] = expected.get(home, 0) | FOR_DELIVERY
            if before and home in got:  # what lay before the event lies before its copy
                behind = in_force(versions, f"events.{home}", *got[home][1:])
                assert behind["version"] >= before["version"]
        assert {region: copy[0] for region, copy in got.items()} == expected, one["id"]
        count += 1
    assert not copies, "copies of events that are not in `global`"
    return count
