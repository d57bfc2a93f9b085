#!/bin/bash
# fuzz.sh [NAME...] - runs the fuzzers of tests/fuzz (all, or those named) with libFuzzer, FUZZ_SECONDS of CPU time each
# (default 300), in slices: what a slice cost and found is a line of build-fuzz/runs.tsv at its end, so that nothing is lost
# when it is interrupted; tools/fuzz-sums.py adds the lines to docs/fuzzing.md. A finding stands in build-fuzz/found/NAME/,
# its log beside it; the other targets go on, and the script fails at the end. New inputs go to build-fuzz/corpus/NAME.
#
# fuzz.sh --merge [NAME...] - makes build-fuzz/merged/NAME the smallest set of inputs that covers what both corpora cover.
set -uo pipefail
cd "$(dirname "$0")/.."
SLICE=${FUZZ_SLICE:-60}
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
merge=
[ "${1:-}" = --merge ] && { merge=1; shift; }
[ $# -gt 0 ] || set -- $(ls tests/fuzz/fuzz_*.c | sed 's|.*/fuzz_||; s|\.c$||')

# An absent text has a null pointer, to which 0 is added: clang 14 counts that as an overflow.
[ -d build-fuzz ] || CC=clang-14 meson setup build-fuzz -Db_sanitize=address,undefined -Db_lundef=false -Dfuzz=true -Dwerror=false \
	-Dc_args='-fsanitize=fuzzer-no-link -fno-sanitize=pointer-overflow' >/dev/null || exit 1
[ -n "${FUZZ_NO_BUILD:-}" ] || ninja -C build-fuzz "${@/#/tests/fuzz/fuzz_}" >build-fuzz/ninja.log || { tail -30 build-fuzz/ninja.log; exit 1; }

flags() {
	local dict=tests/fuzz/dict/$1.dict
	[ -f "$dict" ] || dict=tests/fuzz/dict/event.dict
	case $1 in
	config) echo "-max_len=4096" ;;
	auth | resolve | tree) echo "-max_len=2048 -len_control=0" ;;
	*) echo "-max_len=8192 -dict=$dict" ;;
	esac
}

# One slice: CPU seconds into $cpu; false on a finding.
slice() {
	local name=$1 seconds=$2 log=build-fuzz/$1.log rc execs
	mkdir -p "build-fuzz/corpus/$name" "build-fuzz/found/$name"
	TIMEFORMAT='%U %S'
	cpu=$({ time "build-fuzz/run/$name" -max_total_time="$seconds" -timeout=120 -rss_limit_mb=1500 -print_final_stats=1 \
		-reload=0 -use_value_profile="${FUZZ_VALUES:-0}" -artifact_prefix="build-fuzz/found/$name/" $(flags "$name") \
		"build-fuzz/corpus/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1; } 2>&1)
	rc=$?
	cpu=$(awk '{ printf "%.0f", $1 + $2 }' <<<"$cpu")
	execs=$(awk '/stat::number_of_executed_units/ { print $2 }' "$log")
	printf '%s\t%s\t%s\t%s\n' "$name" "$cpu" "${execs:-0}" "$rc" >>build-fuzz/runs.tsv
	[ "$rc" = 0 ] && return
	cp "$log" "build-fuzz/found/$name/$(date +%s).log"
	return 1
}

failed=0
for name in "$@"; do
	if [ -n "$merge" ]; then
		rm -rf "build-fuzz/merged/$name"
		mkdir -p "build-fuzz/merged/$name" "build-fuzz/corpus/$name"
		"build-fuzz/tests/fuzz/fuzz_$name" -set_cover_merge=1 -use_counters=0 $(flags "$name") -max_len=1024 "build-fuzz/merged/$name" "tests/fuzz/corpus/$name" \
			"build-fuzz/corpus/$name" >"build-fuzz/$name.merge.log" 2>&1 || failed=1
		continue
	fi
	total=0
	mkdir -p build-fuzz/run
	cp "build-fuzz/tests/fuzz/fuzz_$name" "build-fuzz/run/$name" || exit 1 # so that it can be built anew meanwhile
	while [ "$total" -lt "${FUZZ_SECONDS:-300}" ]; do
		if ! slice "$name" "$SLICE"; then
			echo "== $name: a finding"
			grep -aE 'ERROR|SUMMARY|Assertion|runtime error|Test unit written' "build-fuzz/$name.log" | head -5
			failed=1
			break
		fi
		total=$((total + (cpu > 0 ? cpu : 1)))
	done
	echo "== $name: $total s, $(grep -ao 'cov: [0-9]*' "build-fuzz/$name.log" | tail -1)"
done
exit $failed
