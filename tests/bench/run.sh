#!/bin/bash
# Measures Hearth beside Synapse in one run: `make bench`. Needs Go (Debian's golang-go will do) and, for Synapse, a virtual
# environment with matrix-synapse (SYNAPSE_VENV, or made in build/bench/venv).
#   BENCH_SCENARIOS  startup,register,rooms,send,fanout,sync,messages,state,media,photos,e2e
#   BENCH_SCALE      medium      BENCH_ROUNDS  2
#   BENCH_FEDERATION join inbound outbound: what federation.py measures, where no scenarios are named
# Slower ones, a round of which is enough: manyrooms,polls,storage,presence (which has servers with presence to itself).
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
scenarios=${BENCH_SCENARIOS:-startup,register,rooms,send,fanout,sync,messages,state,media,photos,e2e}
rm -rf "$work/hearth" "$work/synapse" "$work/run.jsonl"
export HEARTH_BIN=${HEARTH_BIN:-$top/build/hearth}

# measure SCENARIOS [option of the start scripts], on fresh servers
measure() {
    wanted=$1
    [ -n "$wanted" ] || return 0
    more=${2:+, \"$2\"}
    rm -rf "$work/hearth" "$work/synapse"
    cat > "$work/targets.json" <<J
[{"name": "synapse", "base": "http://127.0.0.1:$sport", "secret": "bench-secret", "data": ["$work/synapse/homeserver.db*"],
  "start": ["$here/peers/synapse/start", "--dir", "$work/synapse", "--port", "$sport", "--bcrypt", "4"$more]},
 {"name": "hearth", "base": "http://127.0.0.1:$hport", "secret": "bench-secret", "data": ["$work/hearth/homeserver.db*"],
  "start": ["$here/peers/hearth/start", "--dir", "$work/hearth", "--port", "$hport", "--bcrypt", "4"$more]}]
J
    "$work/hsbench" --targets "$work/targets.json" --ref synapse --scale "${BENCH_SCALE:-medium}" --rounds "${BENCH_ROUNDS:-2}" \
        --scenarios "$wanted" --out "$work/run.jsonl" $options
}

options=$*
measure "$(echo "$scenarios" | tr , '\n' | grep -vx presence | paste -sd,)"
case ,$scenarios, in *,presence,*) measure presence --presence ;; esac
# Among other servers: scripted ones, in Python (BENCH_FEDERATION: join inbound outbound; empty: none).
federation=${BENCH_FEDERATION-join inbound outbound}
if [ -n "$federation" ] && [ -z "${BENCH_SCENARIOS:-}${options:-}" ]; then
    python=$top/.venv/bin/python
    [ -x "$python" ] || { python3 -m venv "$work/tools" && "$work/tools/bin/pip" -q install -r "$top/tests/requirements.txt" && python=$work/tools/bin/python; }
    # shellcheck disable=SC2086 # a list of names
    "$python" "$here/federation.py" $federation
fi
exec "$work/hsbench" --report "$work/run.jsonl" --ref synapse --markdown
