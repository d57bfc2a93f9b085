#!/usr/bin/env python3
"""The protocol library asks nothing of the world: what json/ and matrix/ call is named here, and nothing else links.

    check-pure.py NM CC BUILD_DIR        (run as a meson test)

Looks at the undefined symbols of libhearth_json.a and libhearth_matrix.a. They may be what these rooms, base/ and crypto/
define, less those parts of base/ and crypto/ that know a clock, chance, threads, files or logs; and of libc what works on
memory alone. Then it shows itself an object that asks the time, which must be refused.
"""
import pathlib, re, subprocess, sys, tempfile

LIBC = set("""
    memchr memcmp memcpy memmove memset memmem memrchr strlen strnlen strchr qsort bsearch abort snprintf vsnprintf
    strtod localeconv
    __assert_fail __stack_chk_fail _GLOBAL_OFFSET_TABLE_
    __memcpy_chk __memmove_chk __memset_chk __snprintf_chk __vsnprintf_chk
    """.split())
SANITIZER = re.compile(r"__(asan|ubsan|tsan|lsan|sanitizer|sancov|msan)_")
# Secrets drawn at start are map.c's own; who is pure may not draw.
IMPURE = re.compile(r"(clock|rand|log|lock|cond|thread|pool|metrics?|counter|gauge|histogram)_|"
                    r"(ed25519_generate|password_|secret_|crypto_init)")


def symbols(nm, archive, *options):
    out = subprocess.run([nm, *options, archive], check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return {line.split()[-1] for line in out.stdout.splitlines() if line.strip() and not line.rstrip().endswith(":")}


def refused(nm, archive, ours):
    return sorted(s for s in symbols(nm, archive, "-u")
                  if not SANITIZER.match(s) and s not in LIBC and (s not in ours or IMPURE.match(s)))


def main(nm, cc, build):
    archive = lambda room: str(pathlib.Path(build) / "src" / f"libhearth_{room}.a")
    ours = set().union(*(symbols(nm, archive(r), "--defined-only", "-g") for r in ("base", "json", "crypto", "matrix")))
    bad = 0
    for room in ("json", "matrix"):
        for symbol in refused(nm, archive(room), ours):
            bad += 1
            print(f"{room}/ calls {symbol}: it is to be pure (tools/check-pure.py)")
    with tempfile.TemporaryDirectory() as folder:
        source, made = pathlib.Path(folder) / "a.c", str(pathlib.Path(folder) / "a.o")
        source.write_text("long time(long *); long clock_ms(void); int open(const char *, int, ...); int f(int);\n"
                          "int f(int x) { return (int)time(0) + (int)clock_ms() + open(\"\", x); }\n")
        subprocess.run([cc, "-c", str(source), "-o", made], check=True)
        if refused(nm, made, ours) != ["clock_ms", "open", "time"]:
            bad += 1
            print("this check does not see an object that asks the time")
    return 1 if bad else 0


sys.exit(main(*sys.argv[1:]))
