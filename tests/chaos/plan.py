"""What is done to whom and when: a function of the seed and of how long it takes.

Each fault has an end, which heals it. Faults overlap, but nothing has two at a time, Kafka gets time to come back between two
of its own, and all are healed before the end.
"""
import collections
import random

REGIONS = ["cn-hangzhou", "ap-southeast-1"]
REGIONAL = ["normalizer", "delivery", "history"]
WORKERS = [f"{worker}@{region}" for worker in REGIONAL for region in REGIONS] + ["router", "watch", "api"]
SECONDS = [f"{worker}@{region}.2" for worker in REGIONAL for region in REGIONS] + ["router.2", "watch.2"]
STORE = ["away", "slow", "hang", "500", "503", "429", "dropped", "late", "delayed"]
CLOCK_OFF_S = 20 * 60
SESSION_S = 6  # lib/bus/bus.h: who is silent for so long loses its partitions

FIRST_S, REST_S = 3, 12  # before the first fault; behind the last one's end
PAUSE_S = (1.0, 4.5)  # between the beginnings of two faults
KAFKA_REST_S = 15

Fault = collections.namedtuple("Fault", "at kind target seconds value", defaults=[None])


def kinds(rng):
    """One round of all there is: (kind, target, seconds, value). What is cheap comes more than once."""
    made = [("kill", one, rng.uniform(0, 2), None) for one in WORKERS * 2]
    made += [("freeze", one, rng.uniform(SESSION_S + 2, SESSION_S + 8), None) for one in WORKERS]
    made += [("second", one, rng.uniform(8, 20), rng.choice(["stop", "kill"])) for one in SECONDS]
    made += [("kill", "kafka", rng.uniform(0, 2), None), ("freeze", "kafka", rng.uniform(3, 15), None)]
    made += [("kill", "redis", rng.uniform(0, 8), None), ("freeze", "redis", rng.uniform(2, 10), None),
             ("empty", "redis", 0, None), ("lose", "redis", rng.uniform(0, 3), None)]
    made += [("store", "store", rng.uniform(6, 12), mode) for mode in STORE]
    made += [("disk", f"history@{region}", rng.uniform(4, 12), None) for region in REGIONS]
    made += [("clock", one, rng.uniform(8, 15), rng.choice([-CLOCK_OFF_S, CLOCK_OFF_S])) for one in WORKERS]
    rng.shuffle(made)
    return made


def first_round(rng):
    """So that a short run, too, meets every kind: one of each goes ahead of the others."""
    left, ahead, seen = kinds(rng), [], set()
    for one in left:
        what = (one[0], one[1] if one[1] in ("kafka", "redis") else None)
        if what not in seen:
            seen.add(what)
            ahead.append(one)
    for one in ahead:
        left.remove(one)
    return ahead + left


def schedule(seed, seconds):
    rng = random.Random(f"plan {seed}")
    waiting, planned, at = first_round(rng), [], FIRST_S
    free = collections.defaultdict(float)  # target: from when on
    while at < seconds - REST_S:
        if len(waiting) < len(WORKERS):
            waiting += kinds(rng)
        chosen = next((one for one in waiting if free[one[1]] <= at and at + one[2] <= seconds - REST_S), None)
        if chosen:
            waiting.remove(chosen)
            kind, target, lasts, value = chosen
            planned.append(Fault(at, kind, target, lasts, value))
            free[target] = at + lasts + (KAFKA_REST_S if target == "kafka" else 2)
        at += rng.uniform(*PAUSE_S)
    return planned
