"""From publish to queryable: 1,000 events a second for 20 s through libtrailbus, normalizer and history; see latency.c."""
import json
import pathlib
import subprocess
import sys

import stack as stacks

RATE, SECONDS = 1000, 20
LIMIT_MS = 1000 # at p99
REGION = "cn-hangzhou"


def run(stack):
    stack.start("kafka", "redis")
    stack.trailctl("topics", "apply")
    stack.start(f"normalizer@{REGION}", f"history@{REGION}")
    measure = [stack.build / "tests" / "bench.latency", stack.env["TRAILBUS_KAFKA"], REGION, stack.run / "data" / "history",
               RATE, SECONDS]
    found = json.loads(subprocess.run([str(word) for word in measure], check=True, stdout=subprocess.PIPE).stdout)
    stack.stop(f"normalizer@{REGION}", f"history@{REGION}")
    return {"rows": [{"name": "publish to queryable"} | {key: found[key] for key in ("p50_ms", "p90_ms", "p99_ms", "max_ms")}],
            "events": found["events"], "events_s": RATE, "missing": found["missing"], "queries": found["queries"],
            "limit_ms": LIMIT_MS, "within_limit": found["p99_ms"] < LIMIT_MS}


def main(path):
    stack = stacks.Stack(regions=REGION, name="-bench")
    try:
        result = run(stack)
    finally:
        stack.end()
    pathlib.Path(path).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
