#!/usr/bin/env python3
"""budgets.py BUDGETS SECONDS NAME=LOG…: a table of what the labels of ctest took, beside their budgets.

LOG is the output of a run of ctest. The run "labels" is shown label by label, the seconds of its tests added up; another
one as a whole, by its name, by the clock. SECONDS is what everything took. Being over a budget is shown and is no failure.
"""
import re
import sys


def read_budgets(path):
    with open(path, encoding="utf-8") as file:
        words = [line.split() for line in file if line.strip() and not line.startswith("#")]
    return {label: int(seconds) for label, seconds in words}


def took(name, path):
    """(label, seconds) of a run."""
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    if name == "labels":
        found = re.findall(r"^(\S+) += +([\d.]+) sec\*proc", text, re.MULTILINE)
    else:
        found = [(name, seconds) for seconds in re.findall(r"^Total Test time \(real\) = +([\d.]+) sec", text, re.MULTILINE)]
    return [(label, float(seconds)) for label, seconds in found]


def main(budgets, whole, *runs):
    budgets = read_budgets(budgets)
    rows = [row for run in runs for row in took(*run.split("=", 1))] + [("whole", float(whole))]
    print(f"{'label':<14}{'took':>9}{'budget':>9}")
    for label, seconds in rows:
        budget = budgets.get(label)
        over = "  over its budget" if budget and seconds > budget else ""
        print(f"{label:<14}{seconds:>7.0f} s{f'{budget:>7} s' if budget else '        -'}{over}")


if __name__ == "__main__":
    main(*sys.argv[1:])
