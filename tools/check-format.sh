#!/bin/sh
# check-format.sh [--fix] - holds every C file against .clang-format (version 14: others differ), or brings it in line.
cd "$(dirname "$0")/.." || exit 2
tool=$(command -v clang-format-14) || { echo "clang-format-14 is missing" >&2; exit 1; }
if [ "${1:-}" = --fix ]; then
	exec find src tests -name '*.[ch]' -not -path '*/node_modules/*' -exec "$tool" -i {} +
fi
# Where it breaks a comment's line it may leave the next one without its space.
tab=$(printf '\t')
! find src tests -name '*.[ch]' -not -path '*/node_modules/*' -exec grep -nE "^$tab* \*[^ /*$tab]" {} + || exit 1
find src tests -name '*.[ch]' -not -path '*/node_modules/*' -exec "$tool" --dry-run -Werror {} + 2>&1 | grep -E '(error|warning):' | cut -d: -f1 | sort | uniq -c
[ "$(find src tests -name '*.[ch]' -not -path '*/node_modules/*' -exec "$tool" --dry-run -Werror {} + 2>&1 | wc -l)" = 0 ]
