#!/usr/bin/env python3
"""Runs Sytest against build/hearth and holds the result against passing.txt and excused.txt.

    SYTEST_DIR=<checkout of matrix-org/sytest> tests/sytest/ratchet.py [--update] [tests/FILE.pl ...]

passing.txt    every test that has passed ("file: name"): none of them may fail again.
excused.txt    tests that Synapse passes and Hearth does not yet, each under the capability it waits for.
A test that Synapse's baseline passes and that is in neither list is a failure, too. --update adds newly passing tests to passing.txt
(and takes them out of excused.txt).
"""
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
AREAS = ["tests/10apidoc", "tests/11register.pl", "tests/12login", "tests/13logout.pl", "tests/14account", "tests/21presence-events.pl",
         "tests/30rooms", "tests/31sync", "tests/32room-versions.pl", "tests/40presence.pl", "tests/41end-to-end-keys", "tests/42tags.pl",
         "tests/45openid.pl", "tests/46direct", "tests/50federation", "tests/51media"]


def results(text):
    """{"file: name": "ok" | "not ok" | "skip"} of summary.py's listing."""
    found, file = {}, None
    for line in text.splitlines():
        if line.startswith("# tests/"):
            file = line[2:].strip()
        elif file and (m := re.match(r"(ok|not ok|skip) (.*?)(  #.*)?$", line)):
            found[f"{file}: {m[2].strip()}"] = m[1]
    return found


def listed(path):
    return [l for l in path.read_text().splitlines() if l and not l.startswith("#")] if path.exists() else []


def area(root, own, name):
    """Sytest's files, or the extra ones, that an entry of AREAS means."""
    where = root / (name if own else name.removeprefix("tests/"))
    return [where] if where.suffix == ".pl" and where.exists() else where.glob("*.pl")


def main():
    args = [a for a in sys.argv[1:] if a != "--update"]
    sytest = pathlib.Path(os.environ["SYTEST_DIR"])
    # run.sh lays extra-tests/ over Sytest's own
    roots = [sytest, HERE / "extra-tests"]
    files = args or sorted({f"tests/{f.relative_to(root / 'tests' if root == sytest else root)}" for a in AREAS for root in roots
                            for f in area(root, root == sytest, a)})
    work = pathlib.Path(os.environ.setdefault("SYTEST_WORK", "/tmp/sytest-work"))
    env = {"SYTEST_HS_BIN": str(TOP / "build" / "hearth"), "SYTEST_HS_CONFIG": str(HERE / "hearth.yaml"),
           **os.environ, "SSL_CERT_FILE": str(sytest / "keys" / "ca.crt")}
    subprocess.run([HERE / "run.sh", "hearth", "-I", "Generic", "--hs-client", "http", *files], env=env)
    listing = subprocess.run([sys.executable, HERE / "summary.py", work / "hearth.tap", work / "hearth.err"], capture_output=True, text=True).stdout
    got = results(listing)
    synapse = {k for k, v in results((HERE / "synapse-baseline.txt").read_text()).items() if v == "ok"}
    passing, excused = set(listed(HERE / "passing.txt")), set(listed(HERE / "excused.txt"))
    ran = set(got)
    ok = {k for k, v in got.items() if v == "ok"}
    lost = sorted((passing & ran) - ok)
    open_ = sorted((synapse & ran) - ok - excused - passing)
    for name in lost:
        print("passed before, fails now:", name)
    for name in open_:
        print("Synapse passes it, Hearth does not, and nothing excuses it:", name)
    for name in sorted(ok & excused):
        print("excused, but passes:", name)
    if "--update" in sys.argv:
        (HERE / "passing.txt").write_text("".join(f"{n}\n" for n in sorted(passing | ok)))
        kept = [l for l in (HERE / "excused.txt").read_text().splitlines() if l not in ok]
        (HERE / "excused.txt").write_text("\n".join(kept) + "\n")
    print(f"{len(ok)} passed, {len(lost) + len(open_)} failed, {len(ran - ok)} do not pass in all")
    return 1 if lost or open_ or not ok else 0


if __name__ == "__main__":
    sys.exit(main())
