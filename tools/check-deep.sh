#!/bin/bash
# check-deep.sh - what takes too long for every change: every unit test under ThreadSanitizer, the compiler's analyzer,
# clang-tidy, cppcheck, and a minute of each fuzzer where clang is there. Run by `make check-deep`.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
step() { echo "== $1"; }

step 'unit tests under AddressSanitizer and UBSan, under ThreadSanitizer'
[ -d build-asan ] || meson setup build-asan -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 >/dev/null
[ -d build-tsan ] || meson setup build-tsan -Db_sanitize=thread -Db_lundef=false -Doptimization=1 >/dev/null
meson test -C build-asan || bad=1
meson test -C build-tsan || bad=1

step 'gcc -fanalyzer'
[ -d build-analyze ] || meson setup build-analyze -Dtests=false -Dwerror=false -Dc_args=-fanalyzer >/dev/null
ninja -C build-analyze 2>&1 | grep -E 'warning: .*-Wanalyzer' | sort | uniq -c | sort -rn | head -50

step 'clang-tidy'
clang-tidy-14 -p build-asan --quiet --checks='-*,bugprone-*,-bugprone-easily-swappable-parameters,-bugprone-assignment-in-if-condition,-bugprone-reserved-identifier,-bugprone-macro-parentheses,clang-analyzer-*,-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling,cert-err34-c' \
	$(git ls-files 'src/*.c') 2>/dev/null | grep -E 'warning:' | sort -u | head -100

step 'cppcheck'
cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 -Isrc -D__GNUC__ \
	--suppress=missingInclude --suppress=unknownMacro src || bad=1

if command -v clang-14 >/dev/null && ls tests/fuzz/fuzz_*.c >/dev/null 2>&1; then
	step 'fuzzers, a minute each'
	FUZZ_SECONDS=60 tools/fuzz.sh || bad=1
fi
exit $bad
