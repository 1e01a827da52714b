"""Our own books against what the oracle counted: what trailbus-watch, tallies and delivery say, against the logs, record by record.

    books.alarms(stack)          what stands now
    books.fresh(stack)           whether canaries come to every stage
    books.false_alarms(fleet)    losses that were announced, whenever that was
    books.check(verdict, world, raw, changes, prefixes, stack)    once all is quiet: every count; what trailctl says of them
"""
import collections
import json
import subprocess

import ledger
from plan import REGIONS
from wait import eventually

SETTLED_S = 60
RECOUNTED = 3  # of the trails that stay, those that `trailctl reconcile --trails` counts once more
FOR_DELIVERY = 1
STALL = "has not come to"  # a stage that is held up for long is rightly one; all other alarms say that something is lost
OUTCOMES = ["normalized", "duplicate", "rejected"]
PLACES = {"offset", "base", "gaps"}  # no outcomes
HASHES = """
local found = {}
for _, key in ipairs(redis.call('keys', ARGV[1])) do
    local hash = redis.call('hgetall', key)
    for i = 1, #hash, 2 do found[#found + 1] = key .. '\\t' .. hash[i] .. '\\t' .. hash[i + 1] end
end
return found"""

Balance = collections.namedtuple("Balance", "received accounted waiting passed missing unknown")
Counts = collections.namedtuple("Counts", "delivered filtered lost waiting")


# --- What they say ----------------------------------------------------------------------------------------


def status(stack):
    return json.loads(stack.trailctl("status", "--json"))


def alarms(stack):
    return {one["alarm"]: one["why"] for one in status(stack)["alarms"]}


def fresh(stack):
    """Whether a canary has come to each stage of each region."""
    said = {one["region"]: one["stages"] for one in status(stack)["freshness"]}
    return set(said) == set(REGIONS) and all(stage.get("canaries") for stages in said.values() for stage in stages)


def false_alarms(fleet):
    """Lines of the watches' logs."""
    said = [line for name in sorted(fleet.ever) if name.partition(".")[0] == "watch" for line in fleet.stack.log(name).splitlines()]
    return [line for line in said if 'msg="alarm: ' in line and STALL not in line]


def hashes(stack, pattern):
    """(key, field, value) of all hashes whose key is like this."""
    port = stack.env["TRAILBUS_REDIS"].rsplit(":", 1)[1].split("/")[0]
    said = subprocess.run(["redis-cli", "-p", port, "eval", HASHES, "0", pattern], capture_output=True, text=True, check=True, timeout=30).stdout
    return [line.split("\t") for line in said.splitlines() if line]


def told_balances(stack):
    return {one["topic"]: Balance(*(one[name] for name in Balance._fields)) for one in status(stack)["balances"]}


def told_outcomes(stack):
    """Of each region's raw records: how many became what."""
    told = {region: dict.fromkeys(OUTCOMES, 0) for region in REGIONS}
    for key, field, value in hashes(stack, "tb1:tally:normalizer:*"):
        outcome = "normalized" if field.startswith("to.") else field if field == "duplicate" else "rejected"
        if field not in PLACES:
            told[key.split(":")[3]][outcome] += int(value)
    return told


def told_counts(stack):
    """{(topic, chain, partition): Counts} as delivery shows them."""
    told = {}
    for key, field, value in hashes(stack, "tb1:trail:*:counts:*"):
        chain, partition = field.split("/")
        told[f"events.{key.split(':')[-1]}", chain, int(partition)] = Counts(*map(int, value.split()[4:]))
    return told


# --- What is so -------------------------------------------------------------------------------------------


def balances(world, raw, changes):
    """`raw`: {region: outcomes}; `changes`: places of change records, which may carry an event and are counted apart."""
    found = {f"raw.{region}": sum(outcomes.values()) for region, outcomes in raw.items()}
    for log in (world.everywhere, *world.logs.values()):
        found[log.topic] = sum(1 for (partition, offset), event in log.events.items() if event and (log.topic, partition, offset) not in changes)
    return {topic: Balance(count, count, 0, 0, 0, 0) for topic, count in found.items()}


def counts(log, chain):
    """{(topic, chain, partition): Counts} of a chain that has delivered all it has to."""
    found = {}
    for partition in list(log.offsets):
        mine = [offset for offset in log.between(partition, ledger.origin(chain, partition), ledger.end(chain, partition))
                if log.events[partition, offset]["account"] == chain.account and log.events[partition, offset]["purpose"] & FOR_DELIVERY]
        delivered = sum(1 for offset in mine if ledger.wanted(chain, partition, offset, log.events[partition, offset]))
        found[log.topic, chain.id, partition] = Counts(delivered, len(mine) - delivered, 0, 0)
    return found


def has_ended(log, chain):
    return {(log.topic, chain.id, partition) for partition in log.offsets if ledger.end(chain, partition) != float("inf")}


# --- One against the other --------------------------------------------------------------------------------


def check(verdict, world, raw, changes, prefixes, stack):
    with verdict.promise("balances"):
        becomes(lambda: told_balances(stack), balances(world, raw, changes))
    with verdict.promise("tallies"):
        becomes(lambda: told_outcomes(stack), raw)
    with verdict.promise("counts of trails"):
        check_counts(lambda: told_counts(stack), chains(world, prefixes))
    with verdict.promise("alarms"):
        becomes(lambda: alarms(stack), {})
    recounted = sorted({chain.trail for _, chain in chains(world, prefixes[:RECOUNTED])})
    for command in (["status", "--check"], ["reconcile"], *(["reconcile", "--trails", "--trail", trail] for trail in recounted)):
        try:
            stack.trailctl(*command)
        except RuntimeError as error:
            verdict.broken.append(str(error))


def becomes(ask, expected):
    """Workers tell every second, delivery every few: waits until they have told all."""
    said = {}

    def told():
        said.update(now=ask())
        return said["now"] == expected

    try:
        eventually(told, SETTLED_S, every=0.5)
    except AssertionError:
        now = said["now"]
        wrong = {key: (now.get(key), expected.get(key)) for key in {**now, **expected} if now.get(key) != expected.get(key)}
        raise AssertionError(f"told and so: {wrong}") from None


def chains(world, prefixes):
    """[(log, chain), …] of those trails."""
    logs = {log.topic: log for log in world.logs.values()}
    found = [chain for prefix in prefixes for chain in ledger.chains_of(world.control, "audit", prefix).values()]
    return [(logs[chain.topic], chain) for chain in found if chain.topic in logs]


def check_counts(ask, all_chains):
    """Of chains that have ended Redis knows as long as it is not emptied."""
    expected, ended = {}, set()
    for log, chain in all_chains:
        expected.update(counts(log, chain))
        ended |= has_ended(log, chain)

    def told():
        now = {stream: said for stream, said in ask().items() if stream in expected or any(said)}
        return {**{stream: expected[stream] for stream in ended}, **now}

    becomes(told, expected)
