"""A stack of its own for a test run: Kafka, Redis, an S3 server, the workers and the API, on free ports.

The processes are those of scripts/local, in a folder under build/e2e; it is kept when a test fails. A stack whose
test run was killed is ended and removed by the next one.
"""
import contextlib
import fcntl
import json
import os
import pathlib
import shlex
import shutil
import subprocess

import boto3
import botocore.config
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
STACKS = ROOT / "build" / "e2e"


class Stack:
    """Names are those of scripts/local: kafka, redis, objects, api, normalizer@cn-hangzhou, delivery.2, …"""

    def __init__(self, build=None, regions="cn-hangzhou ap-southeast-1", name=""):
        STACKS.mkdir(parents=True, exist_ok=True)
        end_orphans()
        self.run = STACKS / f"{os.getpid()}{name}"
        self.build = pathlib.Path(build or os.environ.get("TRAILBUS_BUILD", ROOT / "build" / "release"))
        self._environment = {**os.environ, "TRAILBUS_RUN": str(self.run), "TRAILBUS_BUILD": str(self.build),
                             "TRAILBUS_REGIONS": regions, "TRAILBUS_LOOKUPS_A_SECOND": "10000", "TRAILBUS_WATCH_ACCOUNT": ""}

    def up(self, regions=None):
        """Starts everything, with topics, a bucket and an account; returns when it serves. `regions`: from now on."""
        self._environment["TRAILBUS_REGIONS"] = regions or self._environment["TRAILBUS_REGIONS"]
        return self.local("up")

    def start(self, *names):
        return self.local("start", *names)

    def stop(self, *names):
        """Returns when they have drained and ended."""
        return self.local("stop", *names)

    def kill(self, *names):
        return self.local("kill", *names)

    def restart(self, *names):
        return self.local("restart", *names)

    def local(self, *arguments):
        """scripts/local in this stack; its output."""
        return _output([ROOT / "scripts" / "local", *arguments], self._environment)

    @contextlib.contextmanager
    def spawn(self, worker, config=None, region=None, instance="spawned", log=None):
        """A worker as a child of ours, beside those of scripts/local: a Popen, killed at the end if it runs still."""
        command = [self.build / "bin" / f"trailbus-{worker}", "--config", config or self.run / "trailbus.conf",
                   "--instance", instance, *(["--region", region] if region else [])]
        with open(self.run / "log" / f"{log or worker + '.' + instance}.log", "ab") as output, \
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output) as process:
            try:
                yield process
            finally:
                process.kill()

    def master_key(self):
        return bytes.fromhex((self.run / "secrets" / "master.key").read_text())

    def pid(self, name):
        """The pid of a process of this stack, None when it does not run."""
        file = self.run / f"{name}.pid"
        return int(file.read_text()) if file.exists() else None

    def log(self, name):
        return (self.run / "log" / f"{name}.log").read_text(errors="replace")

    @property
    def env(self):
        """run/trailbus.env as a dict: TRAILBUS_API, TRAILBUS_KAFKA, TRAILBUS_S3, …"""
        lines = (self.run / "trailbus.env").read_text().splitlines()
        return {key: " ".join(shlex.split(value)) for key, value in (line.split("=", 1) for line in lines)}

    def trailctl(self, *arguments, stdin=None, account=None):
        """trailctl as the demo account or another (what account() returned); its standard output."""
        env = {**self._environment, **self.env}
        if account:
            env.update(TRAILBUS_ACCOUNT_ID=account["accountId"], TRAILBUS_ACCESS_KEY_ID=account["accessKeyId"],
                       TRAILBUS_ACCESS_KEY_SECRET=account["accessKeySecret"],
                       TRAILBUS_SECURITY_TOKEN=account.get("securityToken", ""))
        return _output([self.build / "bin" / "trailctl", *arguments], env, stdin)

    def account(self):
        """A new account with full access: accountId, accessKeyId, accessKeySecret."""
        return json.loads(self.trailctl("account", "create", "--json"))

    def s3(self):
        """A boto3 client of the S3 server."""
        env = self.env
        return boto3.client("s3", endpoint_url=env["TRAILBUS_S3"], region_name="us-east-1",
                            aws_access_key_id=env["TRAILBUS_S3_ACCESS_KEY_ID"],
                            aws_secret_access_key=env["TRAILBUS_S3_SECRET_ACCESS_KEY"],
                            config=botocore.config.Config(s3={"addressing_style": "path"}))

    def sanitizer_reports(self):
        """What the sanitizers said in any log, line by line."""
        marks = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:")
        return [f"{log.stem}: {line}" for log in (self.run / "log").glob("*.log")
                for line in log.read_text(errors="replace").splitlines() if any(mark in line for mark in marks)]

    def end(self, keep=False):
        """Kills what runs of it, by pid; removes its folder unless it is to be kept for a look at the logs."""
        names = [file.stem for file in self.run.glob("*.pid")]
        if names:
            self.kill(*names)
        if not keep:
            shutil.rmtree(self.run, ignore_errors=True)


def end_orphans():
    """Ends the stacks of test runs that are no more, and removes them unless they were kept by a failure."""
    with open(STACKS / "ending", "w", encoding="utf-8") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        for folder in filter(pathlib.Path.is_dir, STACKS.iterdir()):
            pid = folder.name.partition("-")[0]
            if not os.path.exists(f"/proc/{pid}") and list(folder.glob("*.pid")):
                names = [file.stem for file in folder.glob("*.pid")]
                _output([ROOT / "scripts" / "local", "kill", *names], {**os.environ, "TRAILBUS_RUN": str(folder)})
                shutil.rmtree(folder, ignore_errors=True)


def free_ports(count):
    """Ports that no stack of this tree has, or will choose soon."""
    said = _output(["bash", "-c", '. "$1"/scripts/lib/stack.sh; choose_ports $(seq "$2")', "bash", ROOT, count], os.environ)
    return [int(line.partition("=")[2]) for line in said.splitlines()]


def _output(command, env, stdin=None):
    done = subprocess.run([str(word) for word in command], env=env, input=stdin, text=True,
                          capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(map(str, command))}: status {done.returncode}\n{done.stderr}{done.stdout}")
    return done.stdout


@pytest.fixture(scope="session")
def stack(request):
    """The stack that all tests of a run share."""
    one = Stack()
    clean = False
    try:
        one.up()
        yield one
        one.local("down")
        assert not one.sanitizer_reports()
        clean = request.session.testsfailed == 0
    finally:
        one.end(keep=not clean)
        if not clean:
            print(f"\nkept for a look at its logs: {one.run}")
