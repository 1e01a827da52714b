"""Programs come and go: SIGTERM drains, instances share a region, and what is wrong with a configuration is said."""
import random
import re
import subprocess
import time

import pytest

import load
import proof
from wait import eventually

REGION = "cn-hangzhou"
WORKERS = ["normalizer", "delivery", "history"]
PROGRAMS = [*WORKERS, "router", "api"]


def run(stack, program, *arguments):
    return subprocess.run([str(stack.build / "bin" / f"trailbus-{program}"), *map(str, arguments)], capture_output=True,
                          text=True, timeout=30, check=False)


def region_of(program):
    return ["--region", REGION] if program in WORKERS else []


# --- Coming and going --------------------------------------------------------------------------------------


def partitions(stack, instance):
    """How many partitions a normalizer says it has."""
    port = stack.env["TRAILBUS_REDIS"].rsplit(":", 1)[1].split("/")[0]
    said = subprocess.run(["redis-cli", "-p", port, "hmget", f"tb1:worker:normalizer:{REGION}:{instance}", "partitions", "state"],
                          capture_output=True, text=True, check=True).stdout.splitlines()
    return int(said[0] or 0) if said[1] == "running" else 0


@pytest.mark.small
def test_two_normalizers_share_a_region_and_one_leaves(stack):
    seed, now = load.seed(), int(time.time())
    who = proof.auditors(stack, 4, "shared")
    accounts, rate = [one.account for one in who], 100
    count = rate * 15

    def sent():
        return load.events(seed, count, accounts, REGION, now)

    with load.Load(stack.env["TRAILBUS_KAFKA"], rate, seed, count, accounts, REGION, now) as sender:
        stack.start(f"normalizer@{REGION}.2")
        eventually(lambda: partitions(stack, "1") == partitions(stack, "2") == 2)
        stack.stop(f"normalizer@{REGION}.2")
        eventually(lambda: partitions(stack, "1") == 4)
        sender.join(120)
    proof.wait_until_quiet(stack)
    proof.assert_same(sent(), proof.in_buckets(stack, who), "the bucket")
    proof.assert_same(sent(), proof.in_history(who, now - 3600, now + 1), "the history")


@pytest.mark.small
def test_sigterm_drains_with_exit_code_0(stack):
    """Each worker is replaced by a child of ours in the middle of a load, and asked to end at a random moment."""
    seed, now = load.seed(), int(time.time())
    rng = random.Random(seed)
    who = proof.auditors(stack, 4, "drained")
    accounts, rate = [one.account for one in who], 200
    count = rate * 18

    def sent():
        return load.events(seed, count, accounts, REGION, now)

    with load.Load(stack.env["TRAILBUS_KAFKA"], rate, seed, count, accounts, REGION, now) as sender:
        for worker in WORKERS:
            stack.stop(worker)
            with stack.spawn(worker, region=REGION, instance="1", log=f"{worker}.child") as process:
                eventually(lambda: re.search(r"msg=ready$", stack.log(f"{worker}.child"), re.M))
                time.sleep(rng.uniform(0.2, 2))  # the moment is what is random
                process.terminate()
                assert process.wait(60) == 0
            assert re.findall(r"msg=(draining|ended)$", stack.log(f"{worker}.child"), re.M) == ["draining", "ended"]
            stack.start(worker)
        sender.join(120)
    proof.wait_until_quiet(stack)
    proof.assert_same(sent(), proof.in_buckets(stack, who), "the bucket")
    proof.assert_same(sent(), proof.in_history(who, now - 3600, now + 1), "the history")


@pytest.mark.small
def test_delivery_writes_what_it_holds_before_it_ends(stack):
    """Nothing waits for a flush that will not come."""
    [one] = proof.auditors(stack, 1, "held")
    made = list(load.events(load.seed(), 50, [one.account], REGION))
    load.Sender(stack.env["TRAILBUS_KAFKA"], REGION, [(one.account, load.as_json(event)) for event in made], 1000).join()
    proof.wait_until_quiet(stack, workers=("normalizer", "history"))
    stack.stop("delivery")
    try:
        proof.assert_same(made, proof.in_buckets(stack, [one]), "the bucket")
    finally:
        stack.start("delivery")


# --- Words -------------------------------------------------------------------------------------------------


@pytest.mark.small
@pytest.mark.parametrize("program", PROGRAMS)
def test_help_version_and_settings(stack, program):
    said = run(stack, program, "--help")
    assert said.returncode == 0 and said.stdout.startswith(f"trailbus-{program} - ") and not said.stderr
    for option in ("--config", "--check-config", "--help-config", "--instance", "--version", "--log-level"):
        assert option in said.stdout
    assert ("--region" in said.stdout) == (program in WORKERS)
    said = run(stack, program, "--version")
    assert said.returncode == 0 and re.fullmatch(rf"trailbus-{program} \d+\.\d+\.\d+\S*\n", said.stdout)
    said = run(stack, program, "--help-config")
    assert said.returncode == 0 and "brokers" in said.stdout


@pytest.mark.small
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_good_configuration_is_good(stack, program):
    said = run(stack, program, *region_of(program), "--config", stack.run / "trailbus.conf", "--check-config")
    assert (said.returncode, said.stderr) == (0, "") and "are good" in said.stdout


@pytest.mark.small
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("broken, words", [
    (lambda text: None, ["no-such-file"]),
    (lambda text: text + "\nbus: {", [r"line|:\d+"]),
    (lambda text: text.replace("brokers =", "borkers ="), ["borkers"]),
    (lambda text: re.sub(r"bus: \{[^}]*\};", "", text), ["brokers"]),
    (lambda text: re.sub(r'brokers = "[^"]*"', "brokers = 9092", text), ["brokers"]),
    (lambda text: re.sub(r'redis = "[^"]*"', 'redis = "http://nowhere"', text), ["redis"]),
], ids=["missing", "syntax", "unknown", "absent", "type", "value"])
def test_a_broken_configuration_gets_a_sentence(stack, program, broken, words, tmp_path):
    text = broken((stack.run / "trailbus.conf").read_text())
    file = tmp_path / ("no-such-file" if text is None else "broken.conf")
    if text is not None:
        file.write_text(text)
    for how in (["--check-config"], []):
        if how or "nowhere" not in (text or ""):
            said = run(stack, program, *region_of(program), "--config", file, *how)
            assert said.returncode == 2, said
            assert all(re.search(word, said.stderr) for word in words) and len(said.stderr.splitlines()) == 1, said.stderr


@pytest.mark.small
@pytest.mark.parametrize("arguments", [["--colour"], ["stray"], ["--instance", "a b"], ["--log-level", "loud"], ["--config"]])
@pytest.mark.parametrize("program", PROGRAMS)
def test_wrong_arguments_get_a_sentence(stack, program, arguments):
    said = run(stack, program, *region_of(program), "--config", stack.run / "trailbus.conf", *arguments)
    assert said.returncode == 2 and said.stderr and not said.stdout


@pytest.mark.small
def test_regions_are_looked_at(stack):
    config = ["--config", stack.run / "trailbus.conf", "--check-config"]
    said = run(stack, "normalizer", *config)
    assert said.returncode == 2 and "--region is required" in said.stderr
    said = run(stack, "normalizer", "--region", "eu-west-1", *config)
    assert said.returncode == 2 and "eu-west-1" in said.stderr
    said = run(stack, "api", "--region", REGION, *config)
    assert said.returncode == 2 and "no --region" in said.stderr


@pytest.mark.small
@pytest.mark.parametrize("key, words", [("", "64 hex digits|master_key_file"), ("zz" * 32, "hex"), ("00" * 31, "hex")])
@pytest.mark.parametrize("program", ["delivery", "api"])
def test_a_wrong_master_key_gets_a_sentence(stack, program, key, words, tmp_path):
    (tmp_path / "master.key").write_text(key)
    text = re.sub(r'master_key_file = "[^"]*"', f'master_key_file = "{tmp_path}/master.key"', (stack.run / "trailbus.conf").read_text())
    (tmp_path / "trailbus.conf").write_text(text)
    said = run(stack, program, *region_of(program), "--config", tmp_path / "trailbus.conf", "--check-config")
    assert said.returncode == 2 and re.search(words, said.stderr), said
