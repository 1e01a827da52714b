"""The oracle is able to fail, and the plan keeps what it says."""
import collections
import json
import sqlite3
import time

import pytest

import books
import ledger
import oracle
import plan
import topics
import traffic

ACCOUNT = "1000000000000001"
COUNT = 60  # with all that a Maker makes: regional and global, both regions, sent twice, unusable


class Case:
    """What was sent, and what came of it if all is right; a test spoils it."""

    def __init__(self, monkeypatch, folder):
        maker = traffic.Maker(7, [ACCOUNT], int(time.time()))
        self.sent = oracle.Sent(maker, list(range(COUNT)), {number: 1.0 for number in range(COUNT)})
        self.world = oracle.World.__new__(oracle.World)
        self.world.brokers, self.world.control = None, {}
        self.world.logs = {region: ledger.Log(f"events.{region}") for region in plan.REGIONS}
        self.world.everywhere = ledger.Log("global")
        self.raw, self.folder, self.rows = collections.defaultdict(list), folder, []
        monkeypatch.setattr(topics, "records", lambda brokers, topic: self.raw[topic])
        for number in range(COUNT):
            self.send(number)

    def send(self, number):
        maker, region = self.sent.maker, self.sent.maker.region(number)
        event, topic = maker.event(number), f"raw.{region}"
        offset = len(self.raw[topic])
        for _ in range(1 + maker.again(number)):
            self.raw[topic].append(topics.Record(0, len(self.raw[topic]), 1, ACCOUNT.encode(), json.dumps(event).encode(), {}))
        if maker.unusable(number):
            origin = f"{topic}/generation/0/{offset}".encode()
            self.raw[f"rejected.{region}"].append(topics.Record(0, offset, 1, b"", b"", {"trailbus-origin": origin}))
            return
        everywhere = event["serviceName"] in dict(traffic.GLOBAL)
        log = self.world.everywhere if everywhere else self.world.logs[region]
        self.add(log, {"id": event["eventId"], "account": ACCOUNT, "global": everywhere, "service": event["serviceName"],
                       "purpose": 0 if everywhere else 3, "document": json.dumps(event),
                       "origin": {"topic": topic, "partition": 0, "offset": offset}})

    @staticmethod
    def add(log, event):
        log.add(0, len(log.offsets[0]), 1, event)

    @property
    def log(self):
        return self.world.logs[plan.REGIONS[0]]

    def store(self, change=lambda rows: rows):
        for region, log in self.world.logs.items():
            (self.folder / region).mkdir()
            with sqlite3.connect(self.folder / region / "2026-01-01.0.db") as db:
                db.execute("CREATE TABLE event(number INTEGER PRIMARY KEY, account TEXT, id TEXT, document TEXT)")
                rows = [(one["account"], one["id"], one["document"]) for one in log.events.values()]
                db.executemany("INSERT INTO event(account, id, document) VALUES(?, ?, ?)", change(rows) if log is self.log else rows)

    def counts(self):
        verdict = oracle.Verdict()
        oracle.check_events(verdict, self.world, self.sent)
        oracle.check_accounts(verdict, self.world)
        return dict(+verdict.counts)

    def history_counts(self):
        verdict = oracle.Verdict()
        oracle.check_history(verdict, self.world, self.folder)
        return dict(+verdict.counts)


@pytest.fixture
def case(monkeypatch, tmp_path):
    return Case(monkeypatch, tmp_path)


def test_what_is_right_passes(case):
    case.store()
    assert case.counts() == {} and case.history_counts() == {}


def test_an_event_that_does_not_come_out_is_lost_and_unaccounted_for(case):
    case.log.events[0, 0] = None
    assert case.counts() == {"lost": 1, "unaccounted": 1}


def test_one_whose_sender_was_killed_may_be_missing(case):
    number = next(n for n in case.sent.numbers if case.sent.maker.event(n)["eventId"] == case.log.events[0, 0]["id"])
    del case.sent.acknowledged[number]
    assert case.counts() == {}
    case.log.events[0, 0] = None
    assert case.counts() == {"unaccounted": 1}


def test_an_event_that_comes_out_twice_is_doubled(case):
    case.add(case.log, case.log.events[0, 0])
    assert case.counts() == {"doubled": 2}  # of its raw record, too


def test_a_resent_event_that_comes_out_twice_is_doubled(case):
    twin = next(number for number in case.sent.numbers if case.sent.maker.again(number))
    place = next(place for place in case.world.normalized() if place.event["id"] == case.sent.maker.event(twin)["eventId"])
    origin = {**place.event["origin"], "offset": place.event["origin"]["offset"] + 1}
    case.add(case.log, {**place.event, "global": False, "origin": origin})
    assert case.counts()["doubled"] == 2


def test_an_event_that_nobody_sent_is_invented(case):
    case.add(case.log, {**case.log.events[0, 0], "id": "another", "origin": {"topic": "raw", "partition": 0, "offset": 0}})
    assert case.counts() == {"invented": 1}


def test_an_event_that_comes_out_otherwise_is_changed(case):
    event = case.log.events[0, 0]
    event["document"] = event["document"].replace('"deep"', '"shallow"')
    assert case.counts() == {"changed": 1}


def test_a_record_that_is_rejected_and_normalized_is_doubled(case):
    origin = case.log.events[0, 0]["origin"]
    headers = {"trailbus-origin": f"{origin['topic']}/g/0/{origin['offset']}".encode()}
    case.raw[f"rejected.{plan.REGIONS[0]}"].append(topics.Record(0, 0, 1, b"", b"", headers))
    assert case.counts() == {"doubled": 1}


@pytest.mark.parametrize("change, counts", [
    (lambda rows: rows[1:], {"lost": 1}),
    (lambda rows: rows + rows[:1], {"doubled": 1}),
    (lambda rows: rows + [("9", "x", "{}")], {"invented": 1}),
    (lambda rows: [(*rows[0][:2], "{}")] + rows[1:], {"changed": 1}),
], ids=["lost", "doubled", "invented", "changed"])
def test_a_history_that_is_not_what_the_log_says_is_found_out(case, change, counts):
    case.store(change)
    assert case.history_counts() == counts


def test_what_was_acknowledged_before_a_stop_may_not_lie_behind_it(case):
    event = next(event for event in case.log.events.values())
    number = next(n for n in case.sent.numbers if case.sent.maker.event(n)["eventId"] == event["id"])
    stop = {"id": "request", "account": ACCOUNT, "global": False, "service": oracle.OURS, "document": "{}", "origin": {}}
    case.log.offsets[0].insert(0, -1)
    versions = [{"trail": "t", "version": n, "logging": True, "deleted": False, "rw": "All", "regions": "All", "homeRegion": plan.REGIONS[0],
                 "offsets": [{"topic": case.log.topic, "offsets": [0]}] if n == 2 else []} for n in (1, 2)]
    case.world.control = {"t": versions}
    event["category"], event["rw"], event["region"] = "MANAGEMENT", "WRITE", plan.REGIONS[0]
    places = {(ACCOUNT, "request"): oracle.Place(case.log.topic, 0, 0, stop), (ACCOUNT, event["id"]): oracle.Place(case.log.topic, 0, 1, event)}
    for asked, broken in ((0.5, 0), (1.5, 1)):
        verdict = oracle.Verdict()
        call = traffic.Call(ACCOUNT, "StopLogging", asked, asked, "done", "request")
        oracle.check_nothing_hides(verdict, case.world, places, {number: (ACCOUNT, event["id"])}, oracle.versions_by_place(case.world),
                                   case.sent._replace(acknowledged={number: 1.0}), [call])
        assert len(verdict.broken) == broken


# --- Our own books ----------------------------------------------------------------------------------------


def outcomes(case):
    return oracle.check_accounts(oracle.Verdict(), case.world)


def test_each_raw_record_is_counted_with_what_became_of_it(case):
    counted = outcomes(case)
    again, unusable = ([n for n in case.sent.numbers if chosen(n)] for chosen in (case.sent.maker.again, case.sent.maker.unusable))
    assert sum(one["rejected"] for one in counted.values()) == len(unusable)
    assert sum(one["duplicate"] for one in counted.values()) == len(again)
    assert sum(one["normalized"] for one in counted.values()) == COUNT - len(unusable)


def test_the_books_are_right_when_they_say_what_lies_in_the_logs(case):
    raw = outcomes(case)
    found = books.balances(case.world, raw, set())
    assert found["raw.cn-hangzhou"] == books.Balance(sum(raw["cn-hangzhou"].values()), sum(raw["cn-hangzhou"].values()), 0, 0, 0, 0)
    events = found[case.log.topic].received
    assert events == len(case.log.events) and found["global"].received == len(case.world.everywhere.events)
    case.add(case.log, None)  # a bare change, and one that carries the event of its call
    case.add(case.log, {**case.log.events[0, 0], "service": oracle.OURS})
    assert books.balances(case.world, raw, {(case.log.topic, 0, len(case.log.events) - 1)})[case.log.topic].received == events


def test_books_that_say_something_else_are_found_out(monkeypatch):
    monkeypatch.setattr(books, "SETTLED_S", 0.1)
    books.becomes(lambda: {"raw": 3}, {"raw": 3})
    for said in ({"raw": 2}, {}, {"raw": 3, "global": 1}):
        with pytest.raises(AssertionError, match="raw|global"):
            books.becomes(lambda said=said: said, {"raw": 3})


def chain_of(case, ends=None):
    """A trail of what is written, from the log's beginning; perhaps deleted behind an offset."""
    for event in case.log.events.values():
        event.update(category="MANAGEMENT", region=plan.REGIONS[0], rw="WRITE" if len(event["id"]) % 2 else "READ")
    case.log.events[0, 0]["rw"], case.log.events[0, 1]["rw"] = "WRITE", "READ"
    version = {"trail": "t", "version": 1, "logging": True, "deleted": False, "rw": "Write", "regions": "All", "homeRegion": plan.REGIONS[0],
               "offsets": [{"topic": case.log.topic, "offsets": [-1]}], "destinations": [{"number": 1}]}
    versions = [version] + ([{**version, "version": 2, "deleted": True, "offsets": [{"topic": case.log.topic, "offsets": [ends]}]}] if ends else [])
    destination = {"number": 1, "origins": [{"topic": case.log.topic, "offsets": [-1]}]}
    return ledger.Chain("c", "t", ACCOUNT, case.log.topic, destination, versions)


def is_told(case, chain, told):
    try:
        books.check_counts(lambda: told, [(case.log, chain)])
    except AssertionError as error:
        assert "told and so" in str(error)
        return False
    return True


def test_counts_of_a_trail_that_are_not_what_the_log_says_are_found_out(case, monkeypatch):
    monkeypatch.setattr(books, "SETTLED_S", 0.1)
    chain = chain_of(case)
    [(stream, right)] = books.counts(case.log, chain).items()
    assert right.delivered > 0 < right.filtered and right.delivered + right.filtered == len(case.log.events)
    assert is_told(case, chain, {stream: right})
    assert is_told(case, chain, {stream: right, (case.log.topic, "c", 1): books.Counts(0, 0, 0, 0)})  # of a partition without events
    for wrong in (right._replace(delivered=right.delivered - 1), right._replace(filtered=0), right._replace(lost=1), right._replace(waiting=1)):
        assert not is_told(case, chain, {stream: wrong})
    assert not is_told(case, chain, {stream: right, (case.log.topic, "c", 1): right})


def test_only_a_chain_that_has_ended_may_be_unknown(case, monkeypatch):
    monkeypatch.setattr(books, "SETTLED_S", 0.1)
    assert not is_told(case, chain_of(case), {})
    chain = chain_of(case, ends=5)
    assert is_told(case, chain, {})
    [(stream, right)] = books.counts(case.log, chain).items()
    assert right.delivered + right.filtered == 6
    assert is_told(case, chain, {stream: right}) and not is_told(case, chain, {stream: right._replace(waiting=1)})


def test_alarms_that_say_that_something_is_lost_are_false():
    class Fleet:
        ever = {"watch", "watch.2", "router"}

        class stack:
            @staticmethod
            def log(name):
                return {"watch": 'level=info msg=ready\nlevel=error msg="alarm: raw.x/1: offsets 1 to 2 were passed over, the …"\n',
                        "watch.2": 'level=error msg="alarm: x: canary c has not come to history for 130 s"\n', "router": 'msg="alarm: none"'}[name]

    assert len(books.false_alarms(Fleet)) == 1


# --- The plan ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_has_all_kinds_and_heals_them(seed):
    planned = plan.schedule(seed, 240)
    assert planned == plan.schedule(seed, 240) != plan.schedule(seed + 1, 240)
    assert {fault.kind for fault in planned} == {"kill", "freeze", "second", "empty", "lose", "store", "disk", "clock"}
    assert {fault.target for fault in planned} >= {"kafka", "redis", "store"}
    free = collections.defaultdict(float)
    for fault in planned:
        assert free[fault.target] <= fault.at and fault.at + fault.seconds <= 240 - plan.REST_S
        free[fault.target] = fault.at + fault.seconds
