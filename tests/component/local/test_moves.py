"""A service that finds one of its ports taken when it starts for the first time gets others."""
import contextlib
import pathlib
import re
import subprocess

import pytest

from wait import eventually

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture(name="stack")
def a_stack(tmp_path, monkeypatch):
    """stack(VERB, NAME): scripts/local, on ports that are chosen already; what it says."""
    monkeypatch.setenv("TRAILBUS_RUN", str(tmp_path))
    subprocess.run(["bash", "-c", '. "$1"/scripts/lib/stack.sh; stack_choose; stack_configure', "bash", ROOT], check=True)

    def local(*words):
        return subprocess.run([ROOT / "scripts" / "local", *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)

    yield local
    local("kill", "redis", "objects")


def port_of(name, tmp_path):
    return int(re.search(rf'^PORT_{name}="?(\d+)', (tmp_path / "stack.env").read_text(), re.M)[1])


@contextlib.contextmanager
def another_redis(port, folder):
    folder.mkdir()
    with subprocess.Popen(["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""], cwd=folder, stdout=subprocess.DEVNULL) as other:
        try:
            eventually(lambda: asked(port, "ping") == "PONG")
            yield other.pid
        finally:
            other.kill()


def asked(port, *words):
    return subprocess.run(["redis-cli", "-p", str(port), *words], text=True, capture_output=True, check=False).stdout.strip()


@pytest.mark.parametrize("service, port", [("redis", "REDIS"), ("objects", "S3")])
def test_a_service_moves_to_ports_that_are_free(stack, tmp_path, service, port):
    taken = port_of(port, tmp_path)
    with another_redis(taken, tmp_path / "other"):
        done = stack("start", service)
        assert done.returncode == 0 and "is somebody else's" in done.stdout and f"{service} is ready" in done.stdout, done.stdout
        assert port_of(port, tmp_path) != taken
        assert str(taken) not in (tmp_path / "trailbus.env").read_text() + (tmp_path / "trailbus.conf").read_text()


def test_what_somebody_else_answers_is_not_taken_for_ours(stack, tmp_path):
    taken = port_of("REDIS", tmp_path)
    with another_redis(taken, tmp_path / "other") as pid:
        assert stack("start", "redis").returncode == 0
        ours = int((tmp_path / "redis.pid").read_text())
        assert f"process_id:{ours}" in asked(port_of("REDIS", tmp_path), "info", "server") and ours != pid


def test_a_service_that_has_served_stays_where_it_is_known(stack, tmp_path):
    assert stack("start", "redis").returncode == 0
    stack("stop", "redis")
    before = (tmp_path / "stack.env").read_text()
    with another_redis(port_of("REDIS", tmp_path), tmp_path / "other"):
        done = stack("start", "redis")
        assert done.returncode != 0 and "ddress already in use" in done.stdout and "redis did not start" in done.stdout, done.stdout
        assert (tmp_path / "stack.env").read_text() == before
