#!/bin/bash
# prove-fresh.sh [FOLDER] - proves that a fresh machine needs nothing but `make`: a Debian 12 with make, git and ca-certificates
# (debootstrap, in a chroot), a copy of the committed tree, `make run` until it answers, `make test` until it ends. Needs root, debootstrap and 8 GB.
#   PROVE_KEEP=1    leave the folder          PROVE_STEPS="run test"      PROVE_MIRROR=URL
# Certificates that this machine trusts beside Debian's, and the settings of package clients in the environment, are handed in.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
root=${1:-$(mktemp -d /var/tmp/hearth-fresh.XXXXXX)}
steps=${PROVE_STEPS:-run test}
server=

clean() {
	[ -z "$server" ] || kill -INT -- "-$server" 2>/dev/null || true
	for m in dev/pts dev/shm dev proc sys; do
		mountpoint -q "$root/$m" && umount -l "$root/$m"
	done
	[ -n "${PROVE_KEEP:-}" ] || rm -rf --one-file-system "$root"
}
trap clean EXIT

inside() {
	local keep=()
	for v in PIP_CERT PIP_DEFAULT_TIMEOUT PIP_INDEX_URL REQUESTS_CA_BUNDLE SSL_CERT_FILE NODE_EXTRA_CA_CERTS NPM_CONFIG_REGISTRY http_proxy https_proxy no_proxy; do
		[ -z "${!v:-}" ] || keep+=("$v=${!v}")
	done
	# shellcheck disable=SC2086 # two words
	${apart:-} chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "${keep[@]}" "$@"
}

if [ ! -x "$root/usr/bin/make" ]; then
	debootstrap --variant=minbase --include=make,git,ca-certificates bookworm "$root" "${PROVE_MIRROR:-http://deb.debian.org/debian}" >"$root.log" 2>&1 ||
		{ tail -20 "$root.log"; exit 1; }
fi
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev" 2>/dev/null || mount --bind /dev "$root/dev"
mount --make-rslave "$root/dev"
mount -t sysfs sys "$root/sys" 2>/dev/null || true
cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
cp /etc/hosts "$root/etc/hosts" 2>/dev/null || true
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # no services are started in a chroot
chmod +x "$root/usr/sbin/policy-rc.d"

rm -rf "$root/srv/hearth"
git -c safe.directory='*' clone -q "$top" "$root/srv/hearth"
[ ! -d "$top/../shared" ] || { rm -rf "$root/srv/shared"; cp -r "$top/../shared" "$root/srv/shared"; }

for step in $steps; do
	began=$(date +%s)
	case $step in
	run)
		: >"$root/run.log"
		apart="exec setsid" inside make -C /srv/hearth run >"$root/run.log" 2>&1 &
		server=$!
		until grep -q 'first user' "$root/run.log"; do
			kill -0 "$server" 2>/dev/null || { cat "$root/run.log"; echo "make run ended"; exit 1; }
			sleep 1
		done
		python3 - <<-'P'
			import json, urllib.request
			assert json.load(urllib.request.urlopen("http://127.0.0.1:8008/_matrix/client/versions", timeout=10))["versions"]
		P
		cat "$root/run.log"
		kill -INT -- "-$server" # make and the server, as Ctrl-C does
		wait "$server" || true
		server=
		;;
	test)
		inside make -C /srv/hearth test
		;;
	esac
	echo "make $step: $(($(date +%s) - began)) s"
done
