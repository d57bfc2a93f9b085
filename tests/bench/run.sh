#!/bin/bash
# Measures Hearth beside Synapse in one run: `make bench`. Needs Go (Debian's golang-go will do) and, for Synapse, a virtual
# environment with matrix-synapse (SYNAPSE_VENV, or made in build/bench/venv).
#   BENCH_SCENARIOS  startup,register,rooms,send,fanout,sync,messages,state      BENCH_SCALE  medium      BENCH_ROUNDS  2
# Slower ones, a round of which is enough: manyrooms,polls,storage.
set -eu
here=$(dirname "$(readlink -f "$0")")
top=$(dirname "$(dirname "$here")")
work=$top/build/bench
mkdir -p "$work"
go=$(command -v go || echo /usr/lib/go-1.19/bin/go)
(cd "$here" && "$go" build -o "$work/hsbench" .)
if [ -z "${SYNAPSE_VENV:-}" ]; then
    SYNAPSE_VENV=$work/venv
    [ -x "$SYNAPSE_VENV/bin/python" ] || { python3 -m venv "$SYNAPSE_VENV" && "$SYNAPSE_VENV/bin/pip" -q install 'matrix-synapse[postgres]'; }
fi
export SYNAPSE_VENV
hport=18208 sport=18209
rm -rf "$work/hearth" "$work/synapse" "$work/run.jsonl"
export HEARTH_BIN=${HEARTH_BIN:-$top/build/hearth}
cat > "$work/targets.json" <<J
[{"name": "synapse", "base": "http://127.0.0.1:$sport", "secret": "bench-secret",
  "start": ["$here/peers/synapse/start", "--dir", "$work/synapse", "--port", "$sport", "--bcrypt", "4"], "data": ["$work/synapse/homeserver.db*"]},
 {"name": "hearth", "base": "http://127.0.0.1:$hport", "secret": "bench-secret",
  "start": ["$here/peers/hearth/start", "--dir", "$work/hearth", "--port", "$hport", "--bcrypt", "4"], "data": ["$work/hearth/homeserver.db*"]}]
J
exec "$work/hsbench" --targets "$work/targets.json" --ref synapse --scale "${BENCH_SCALE:-medium}" --rounds "${BENCH_ROUNDS:-2}" \
    --scenarios "${BENCH_SCENARIOS:-startup,register,rooms,send,fanout,sync,messages,state}" --out "$work/run.jsonl" --markdown "$@"
