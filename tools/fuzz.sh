#!/bin/bash
# fuzz.sh [NAME...] - runs the fuzzers of tests/fuzz (all, or those named) with libFuzzer, FUZZ_SECONDS each (default 300).
# What is found stands in build-fuzz/; new inputs of interest go to the corpus folder beside the fuzzer.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -d build-fuzz ] || CC=clang-14 meson setup build-fuzz -Db_sanitize=address,undefined -Db_lundef=false -Dfuzz=true -Dwerror=false \
	-Dc_args=-fsanitize=fuzzer-no-link >/dev/null
ninja -C build-fuzz >/dev/null
[ $# -gt 0 ] || set -- $(ls tests/fuzz/fuzz_*.c | sed 's|.*/fuzz_||; s|\.c$||')
for name in "$@"; do
	mkdir -p "build-fuzz/corpus/$name"
	echo "== $name"
	if ! "build-fuzz/tests/fuzz/fuzz_$name" -max_total_time="${FUZZ_SECONDS:-300}" -artifact_prefix=build-fuzz/ \
		"build-fuzz/corpus/$name" "tests/fuzz/corpus/$name" >"build-fuzz/$name.log" 2>&1; then
		tail -60 "build-fuzz/$name.log"
		exit 1
	fi
	grep '^Done' "build-fuzz/$name.log"
done
