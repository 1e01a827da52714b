"""Processes of a stack are known by pid and environment: one that was started runs, at once and each time somebody asks."""
import os
import pathlib
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts" / "lib"))
import launch  # noqa: E402

STARTS, LOOKS = 200, 200


@pytest.fixture(name="run")
def running(tmp_path, monkeypatch):
    """run(): a process that scripts/local would know as "redis"."""
    children = []
    monkeypatch.setenv("TRAILBUS_PROCESS", str(tmp_path / "redis"))

    def run():
        children.append(subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", "redis.socket", "--save", "", "--set-proc-title", "no"],
                                         cwd=tmp_path, stdout=subprocess.DEVNULL))
        (tmp_path / "redis.pid").write_text(f"{children[-1].pid}\n")
        return children[-1]

    yield run
    for child in children:
        child.kill()
        child.wait()


def test_one_that_was_started_is_known_at_once(run, tmp_path):
    for _ in range(STARTS):
        child = run()
        assert launch.wait_known(child, time.monotonic() + 60)
        environment = pathlib.Path(f"/proc/{child.pid}/environ").read_bytes()
        assert f"TRAILBUS_PROCESS={tmp_path}/redis".encode() in environment.split(b"\0")
        child.kill()


def test_one_that_ended_is_not_waited_for():
    with subprocess.Popen(["true"]) as child:
        child.wait()
        assert not launch.wait_known(child, time.monotonic() + 60)


def test_one_that_runs_is_known_each_time_whatever_its_environment(run, tmp_path, monkeypatch):
    monkeypatch.setenv("LONG", "x" * 20000)
    assert launch.wait_known(run(), time.monotonic() + 60)
    script = 'set -euo pipefail; . "$1"/scripts/lib/stack.sh; for ((n = 0; n < $2; n++)); do name_pid redis > /dev/null; done'
    subprocess.run(["bash", "-c", script, "bash", ROOT, str(LOOKS)], env={**os.environ, "TRAILBUS_RUN": str(tmp_path)}, check=True)
