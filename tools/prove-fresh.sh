#!/bin/bash
# prove-fresh.sh [FOLDER] - proves that a fresh machine needs nothing but `make`: a Debian 12 with make, git and ca-certificates
# (debootstrap, in a chroot with processes and shared memory of its own), a copy of the committed tree, `make run` until it
# answers, `make test` until it ends. Needs root, debootstrap, 8 GB and port 8008.
#   PROVE_KEEP=1    leave the folder          PROVE_STEPS="run test"      PROVE_MIRROR=URL
# Certificates that this machine trusts beside Debian's, and the settings of package clients in the environment, are handed in.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
root=${1:-$(mktemp -d /var/tmp/hearth-fresh.XXXXXX)}
server=

clean() {
	[ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
	[ -n "${PROVE_KEEP:-}" ] || rm -rf --one-file-system "$root"
}
trap clean EXIT

# Runs a command in the chroot; whatever it leaves running ends with it.
inside() {
	local keep=()
	for v in PIP_CERT PIP_DEFAULT_TIMEOUT PIP_INDEX_URL REQUESTS_CA_BUNDLE SSL_CERT_FILE NODE_EXTRA_CA_CERTS NPM_CONFIG_REGISTRY http_proxy https_proxy no_proxy; do
		[ -z "${!v:-}" ] || keep+=("$v=${!v}")
	done
	# shellcheck disable=SC2016 # for the inner shell
	exec unshare --mount --pid --ipc --fork --kill-child=KILL -- bash -ec '
		mount -t proc proc "$0/proc"
		mount --rbind /dev "$0/dev"
		mount -t tmpfs tmpfs "$0/dev/shm"
		mount -t sysfs sys "$0/sys" || true
		exec chroot "$0" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"' "$root" "${keep[@]}" "$@"
}

if [ ! -x "$root/usr/bin/make" ]; then
	debootstrap --variant=minbase --include=make,git,ca-certificates bookworm "$root" ${PROVE_MIRROR:+"$PROVE_MIRROR"} >"$root.log" 2>&1 ||
		{ tail -20 "$root.log"; exit 1; }
fi
cp /etc/resolv.conf /etc/hosts "$root/etc/"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # no services are started in a chroot
chmod +x "$root/usr/sbin/policy-rc.d"
rm -rf "$root/srv/hearth"
git -c safe.directory='*' clone -q "$top" "$root/srv/hearth"
[ ! -d "$top/../shared" ] || { rm -rf "$root/srv/shared"; cp -r "$top/../shared" "$root/srv/shared"; }

prove_run() {
	: >"$root/run.log"
	(inside make -C /srv/hearth run) >"$root/run.log" 2>&1 &
	server=$!
	until grep -q 'first user' "$root/run.log"; do
		kill -0 "$server" 2>/dev/null || { cat "$root/run.log"; echo "make run ended"; exit 1; }
		sleep 1
	done
	cat "$root/run.log"
	python3 - <<-'P'
		import json, urllib.request
		assert json.load(urllib.request.urlopen("http://127.0.0.1:8008/_matrix/client/versions", timeout=10))["versions"]
	P
	kill -KILL "$server" # unshare, and with it all that it started
	wait "$server" 2>/dev/null || true
	server=
}

for step in ${PROVE_STEPS:-run test}; do
	began=$(date +%s)
	if [ "$step" = run ]; then
		prove_run
	else
		(inside make -C /srv/hearth "$step")
	fi
	echo "make $step: $(($(date +%s) - began)) s"
done
