#!/bin/sh
# Refuses calls that have no bound, no error or no owner: see docs/HACKING.md. Usage: check-banned.sh PROJECT_ROOT
cd "$1" || exit 2
bad=0
found=$(grep -rnE '\b(sprintf|vsprintf|strcpy|strcat|strncpy|strncat|strtok|atoi|atol|strtol|strtoul|strtoll|strtoull|sscanf|gets|alloca)[[:space:]]*\(' src --include='*.[ch]' | grep -vE '^[^:]+:[0-9]+:[[:space:]]*(\*|/\*|//)')
[ -z "$found" ] || { echo "banned calls:"; echo "$found"; bad=1; }
found=$(grep -rnE '(^|[^_a-zA-Z0-9>.])(malloc|calloc|realloc|free)[[:space:]]*\(' src --include='*.[ch]' | grep -vE '^src/base/' | grep -vE '^[^:]+:[0-9]+:[[:space:]]*(\*|/\*|//)')
[ -z "$found" ] || { echo "raw memory outside base/:"; echo "$found"; bad=1; }
exit $bad
