"""The driver: does what the plan says to processes of a stack, and heals it. Nothing restarts by itself.

    Fleet   the workers and the API, children of ours, so that their end is seen and its reason known
    Driver  the faults of a plan, each in a thread of its own while it lasts
"""
import collections
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time

from plan import WORKERS
from wait import eventually

HERE = pathlib.Path(__file__).resolve().parent
START_S, DRAIN_S = 60, 60
RESTART_S = 1
LOG_LINES = 3
CLOCK_GRACE_S = 60  # a call may have begun before it was right again

CLOCK, DISK = 0, 1  # switches.h


class Fleet:
    def __init__(self, stack):
        self.stack, self.lock = stack, threading.RLock()
        self.running, self.ever = {}, set()  # Popen by name, what we killed is not in it; names
        self.found = []  # what ended by itself, in words
        self.clock_off_until = collections.defaultdict(float)
        self._ending = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def start_all(self):
        """Returns when they serve."""
        before = {name: self.times_ready(name) for name in WORKERS}
        for name in WORKERS:
            self.start(name)
        self._watcher.start()
        eventually(lambda: all(self.times_ready(name) > before[name] for name in WORKERS), START_S)

    def times_ready(self, name):
        if not (self.stack.run / "log" / f"{name}.log").exists():
            return 0
        return len(re.findall("msg=ready$", self.stack.log(name), re.MULTILINE))

    def command(self, name):
        worker, _, place = name.partition("@")
        worker, _, instance = worker.partition(".")
        region, _, regional = place.partition(".")
        return [str(self.stack.build / "bin" / f"trailbus-{worker}"), "--config", str(self.stack.run / "trailbus.conf"),
                "--instance", regional or instance or "1", *(["--region", region] if region else [])]

    def start(self, name):
        libraries = [self.stack.build / "tests" / f"chaos_{what}.so" for what in ("clock_off", "disk_full")]
        environment = {**os.environ, "TRAILBUS_PROCESS": str(self.stack.run / name), "LD_PRELOAD": ":".join(map(str, libraries)),
                       "TRAILBUS_CHAOS_DISK": str(self.stack.run / "data" / "history")}
        with self.lock, open(self.stack.run / "log" / f"{name}.log", "ab") as log:
            (self.stack.run / f"{name}.switches").write_bytes(bytes(16))
            self.running[name] = subprocess.Popen(self.command(name), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                  env=environment, start_new_session=True)
            self.ever.add(name)
            (self.stack.run / f"{name}.pid").write_text(f"{self.running[name].pid}\n")

    def signal(self, name, number):
        self.running[name].send_signal(number)

    def kill(self, name):
        with self.lock:
            process = self.running.pop(name)
            process.kill()
            if process.wait() != -signal.SIGKILL:
                self._found(name, f"ended by itself with status {process.returncode}")
            self._forget(name)

    def stop(self, name):
        """SIGTERM, and the end that is promised for it."""
        with self.lock:
            process = self.running.pop(name)
        process.terminate()
        try:
            status = process.wait(DRAIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            status = f"none {DRAIN_S} s after SIGTERM"
        if status != 0:
            self._found(name, f"was stopped and ended with status {status}")
        self._forget(name)

    def _found(self, name, what):
        self.found.append(f"{name} {what}: {self.last_words(name)}")
        print(self.found[-1], flush=True)

    def _forget(self, name):
        (self.stack.run / f"{name}.pid").unlink(missing_ok=True)

    def _watch(self):
        while not self._ending.wait(0.2):
            with self.lock:
                for name, process in list(self.running.items()):
                    if process.poll() is not None:
                        del self.running[name]
                        self._found(name, f"ended by itself with status {process.returncode}")
                        self._forget(name)
                        self._ending.wait(RESTART_S)
                        self.start(name)

    def last_words(self, name):
        return " | ".join(self.stack.log(name).splitlines()[-LOG_LINES:])

    def switch(self, name, which, value):
        with open(self.stack.run / f"{name}.switches", "r+b") as file:
            os.pwrite(file.fileno(), struct.pack("<q", value), 8 * which)

    def start_missing(self):
        """All that ever ran runs again, second instances, too: that the rest takes over from somebody who has gone is what happened
        meanwhile; that Kafka forgets to miss somebody is docs/decisions/0004."""
        for name in sorted(self.ever - set(self.running)):
            self.start(name)

    def clock_is_off(self, name):
        return time.monotonic() < self.clock_off_until[name] + CLOCK_GRACE_S

    def end(self):
        self._ending.set()
        self._watcher.join()


class Proxy:
    """proxy.py, between the workers and the store."""

    def __init__(self, port, store_port):
        self._process = subprocess.Popen([sys.executable, str(HERE / "proxy.py"), str(port), str(store_port)], text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout.readline() == "ready\n"

    def mode(self, mode):
        self._process.stdin.write(f"{mode}\n")
        self._process.stdin.flush()

    def end(self):
        self._process.kill()
        self._process.wait()


class Driver:
    def __init__(self, stack, fleet, proxy):
        self.stack, self.fleet, self.proxy = stack, fleet, proxy
        self.counts, self.errors = collections.Counter(), []
        self.began = time.monotonic()
        self._busy = collections.defaultdict(threading.Lock)

    def run(self, plan, seconds):
        """Returns when the time is over and all is healed."""
        self.began, threads = time.monotonic(), []
        for fault in plan:
            self._wait_until(fault.at)
            threads.append(threading.Thread(target=self._one, args=(fault,), daemon=True))
            threads[-1].start()
        for thread in threads:
            thread.join()
        self._wait_until(seconds)

    def _wait_until(self, at):
        time.sleep(max(0, self.began + at - time.monotonic()))  # the moment is what is planned

    def _one(self, fault):
        """Skipped where the one before takes longer than was planned."""
        if not self._busy[fault.target].acquire(blocking=False):
            return
        kind = fault.kind if fault.kind not in ("store", "second") else f"{fault.kind}-{fault.value}"
        self.counts[f"{kind} {fault.target.partition('@')[0].partition('.')[0]}".removesuffix(" store")] += 1
        try:
            print(f"{time.monotonic() - self.began:6.1f} s: {kind} {fault.target} for {fault.seconds:.1f} s", flush=True)
            getattr(self, f"_{fault.kind}")(fault)
        except Exception as error:  # told at the end
            self.errors.append(f"{kind} {fault.target} could not be done or healed: {type(error).__name__}: {error}")
        finally:
            self._busy[fault.target].release()

    def _kill(self, fault):
        if fault.target in WORKERS:
            self.fleet.kill(fault.target)
            time.sleep(fault.seconds)
            self.fleet.start(fault.target)
        else:
            self.stack.kill(fault.target)
            time.sleep(fault.seconds)
            self.stack.start(fault.target)

    def _freeze(self, fault):
        pid = self.fleet.running[fault.target].pid if fault.target in WORKERS else self.stack.pid(fault.target)
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(fault.seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    def _second(self, fault):
        self.fleet.start(fault.target)
        time.sleep(fault.seconds)
        (self.fleet.stop if fault.value == "stop" else self.fleet.kill)(fault.target)

    def _empty(self, _):
        port = self.stack.env["TRAILBUS_REDIS"].rsplit(":", 1)[1].split("/")[0]
        subprocess.run(["redis-cli", "-p", port, "flushall"], check=True, capture_output=True, timeout=30)

    def _lose(self, fault):
        """With its disk."""
        self.stack.kill("redis")
        shutil.rmtree(self.stack.run / "data" / "redis")
        (self.stack.run / "data" / "redis").mkdir()
        time.sleep(fault.seconds)
        self.stack.start("redis")

    def _store(self, fault):
        self.proxy.mode(fault.value)
        time.sleep(fault.seconds)
        self.proxy.mode("ok")

    def _disk(self, fault):
        self.fleet.switch(fault.target, DISK, 1)
        time.sleep(fault.seconds)
        self.fleet.switch(fault.target, DISK, 0)

    def _clock(self, fault):
        self.fleet.clock_off_until[fault.target] = time.monotonic() + fault.seconds + 3600
        self.fleet.switch(fault.target, CLOCK, fault.value)
        time.sleep(fault.seconds)
        self.fleet.switch(fault.target, CLOCK, 0)
        self.fleet.clock_off_until[fault.target] = time.monotonic()
