"""Waiting for a condition, never for a while."""
import time


def eventually(check, seconds=60, every=0.1, what=None):
    """Asks `check` until it answers something true, and returns that. What it raises or says at the end is told."""
    until = time.monotonic() + seconds
    while True:
        said = check()
        if said:
            return said
        assert time.monotonic() < until, f"after {seconds} s still {said!r}: {what or check.__qualname__}"
        time.sleep(every)
