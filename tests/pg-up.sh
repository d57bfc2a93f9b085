#!/bin/sh
# Starts a private PostgreSQL for tests, unless it runs already, and prints the folder of its unix socket.
#
# Usage: pg-up.sh DIR. Whoever uses the cluster holds a shared flock on DIR/use.lock (taken before this is called); a keeper
# in the background stops the cluster and removes it ten seconds after the last one let go. Nothing survives, so nothing is
# synced to disk. initdb refuses root: root becomes the user postgres.
set -eu
self=$(realpath "$0")
keep=
[ "$1" != --keep ] || { keep=1; shift; }
dir=$1
mkdir -p "$dir"
chmod 755 "$dir"
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
[ -x "$bin/initdb" ] || { echo "pg-up: PostgreSQL is not installed" >&2; exit 1; }
as=
[ "$(id -u)" != 0 ] || as="setpriv --reuid=postgres --regid=postgres --init-groups"

keeper() {
	while :; do
		flock "$dir/use.lock" true
		sleep 10
		exec 9>"$dir/start.lock"
		flock 9
		if flock -n "$dir/use.lock" true; then
			$as "$bin/pg_ctl" stop -D "$dir/data" -m immediate
			rm -rf "$dir/data" "$dir/keeper.pid"
			exit 0
		fi
		exec 9>&-
	done
}

[ -z "$keep" ] || keeper
exec 9>"$dir/start.lock"
flock 9
cd / # somewhere the user postgres may be
if ! $as "$bin/pg_ctl" status -D "$dir/data" >/dev/null 2>&1; then
	rm -rf "$dir/data"
	mkdir -m 700 "$dir/data"
	[ -z "$as" ] || chown postgres:postgres "$dir/data"
	{
		$as "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync --no-instructions
		cat >>"$dir/data/postgresql.conf" <<-END
			listen_addresses = ''
			unix_socket_directories = '$dir/socket'
			max_connections = 300
			shared_buffers = 64MB
			fsync = off
			full_page_writes = off
			wal_level = minimal
			max_wal_senders = 0
			autovacuum = off
			dynamic_shared_memory_type = mmap
		END
		mkdir -p -m 755 "$dir/socket"
		[ -z "$as" ] || chown postgres:postgres "$dir/socket"
		$as "$bin/pg_ctl" start -w -D "$dir/data" -l "$dir/data/server.log"
	} >"$dir/start.log" 2>&1 9>&- || { cat "$dir/start.log" "$dir/data/server.log" >&2; exit 1; }
fi
if ! kill -0 "$(cat "$dir/keeper.pid" 2>/dev/null)" 2>/dev/null; then
	setsid "$self" --keep "$dir" 9>&- </dev/null >/dev/null 2>&1 &
	echo $! >"$dir/keeper.pid"
fi
echo "$dir/socket"
