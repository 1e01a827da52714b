#!/usr/bin/env python3
"""Starts a process that outlives us, with its output in a log, and returns when it is ready.

launch.py PIDFILE LOG SECONDS NOTIFY -- COMMAND…

NOTIFY is "notify" (ready when it says READY=1, as sd_notify(3)) or "start" (ready once it runs).
Exit 0 when it is ready; 1 when it ended or did not get ready within SECONDS (it is killed then).
"""
import contextlib
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time


def wait_ready(child, listener, deadline):
    """True when READY=1 came; False when the child ended or the time is over."""
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while time.monotonic() < deadline and child.poll() is None:
            if selector.select(0.05) and b"READY=1" in listener.recv(4096).split(b"\n"):
                return True
    return False


def wait_known(child, deadline):
    """True once the child is known by its environment. Popen returns in the middle of its exec, and that comes at the end: until
    then, for many milliseconds on a busy machine, the child would seem to be none of ours. False when it ended."""
    while time.monotonic() < deadline and child.poll() is None:
        with contextlib.suppress(OSError), open(f"/proc/{child.pid}/environ", "rb") as file:
            if file.read(1):
                return True
        time.sleep(0.001)
    return False


def main(pid_file, log, seconds, notify, _, *command):
    deadline = time.monotonic() + float(seconds)
    with tempfile.TemporaryDirectory(prefix="trailbus-") as folder, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener, open(log, "ab") as output:
        environment = dict(os.environ)
        environment.pop("NOTIFY_SOCKET", None)
        if notify == "notify":
            environment["NOTIFY_SOCKET"] = f"{folder}/notify"
            listener.bind(environment["NOTIFY_SOCKET"])
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                 env=environment, start_new_session=True)
        with open(pid_file, "w", encoding="ascii") as file:
            file.write(f"{child.pid}\n")
        if wait_ready(child, listener, deadline) if notify == "notify" else wait_known(child, deadline):
            return 0
    ended = child.poll()
    child.kill()
    child.wait()
    os.unlink(pid_file)
    print(f"ended with status {ended}" if ended is not None else f"not ready after {seconds} s",
          file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
