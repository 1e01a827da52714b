#!/usr/bin/env python3
"""table.py FILE: a benchmark's JSON (see scripts/bench) as a table: "rows" first, then the rest line by line."""
import json
import sys


def text(value):
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def main(path):
    with open(path, encoding="utf-8") as file:
        result = json.load(file)
    rows = result.pop("rows", [])
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = [columns] + [[text(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(*table)]
    for line in table if rows else []:
        first, *others = (cell.ljust(w) if i == 0 else cell.rjust(w)
                          for i, (cell, w) in enumerate(zip(line, widths)))
        print("  " + "  ".join([first, *others]))
    for key, value in result.items():
        print(f"  {key}: {text(value)}")


if __name__ == "__main__":
    main(sys.argv[1])
