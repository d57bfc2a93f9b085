#!/usr/bin/env python3
"""Adds what the fuzzers did since the last time (build-fuzz/runs.tsv, by tools/fuzz.sh) to the table of docs/fuzzing.md.

    tools/fuzz-sums.py            what was counted is moved to build-fuzz/counted.tsv
"""
import collections
import pathlib
import re

TOP = pathlib.Path(__file__).resolve().parent.parent
RUNS = TOP / "build-fuzz" / "runs.tsv"
COUNTED = TOP / "build-fuzz" / "counted.tsv"
PAGE = TOP / "docs" / "fuzzing.md"
ROW = re.compile(r"^\| `(\w+)` \| (.*) \| ([\d.,]+) \| ([\d,]+) \| (\d+) \|$")


def main():
    lines = RUNS.read_text().splitlines() if RUNS.exists() else []
    sums = collections.defaultdict(lambda: [0, 0])
    for line in lines:
        name, cpu, runs, _status = line.split("\t")
        sums[name][0] += int(cpu)
        sums[name][1] += int(runs)
    page = []
    for line in PAGE.read_text().splitlines():
        row = ROW.match(line)
        if row and row[1] in sums:
            name, what, minutes, runs, findings = row.groups()
            cpu, more = sums.pop(name)
            minutes = float(minutes.replace(",", "")) + cpu / 60
            runs = int(runs.replace(",", "")) + more
            line = f"| `{name}` | {what} | {minutes:,.1f} | {runs:,} | {findings} |"
        page.append(line)
    if sums:
        raise SystemExit(f"no row in {PAGE}: {', '.join(sums)}")
    PAGE.write_text("\n".join(page) + "\n")
    with COUNTED.open("a") as f:
        f.writelines(line + "\n" for line in lines)
    RUNS.write_text("")
    print(f"{len(lines)} runs counted")


main()
