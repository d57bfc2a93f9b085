#!/bin/sh
# install-deps.sh SET... - installs the Debian packages of the sets that are missing, and nothing else.
#   build  to compile the server          test  to run `make test`
#   bench  the load generator             deep  `make check-deep`       fuzz  `make fuzz`
# Needs root, or sudo, only when something is missing. Asks for package lists only when those at hand do not do.
set -eu

build='gcc libc6-dev make meson ninja-build pkg-config python3-minimal libsodium-dev libssl-dev libcrypt-dev libsqlite3-dev
  libpq-dev libmicrohttpd-dev libgnutls28-dev zlib1g-dev libyaml-dev libsystemd-dev libunistring-dev
  libcurl4-openssl-dev libc-ares-dev libxml2-dev libseccomp-dev libvips42'
test='python3 python3-venv libcmocka-dev postgresql clang-format-14 openssl'
bench='golang-go python3-venv postgresql'
deep='clang-tidy-14 cppcheck'
fuzz='clang-14 libclang-rt-14-dev'

[ $# -gt 0 ] || { echo "usage: $0 build|test|bench|deep|fuzz..." >&2; exit 2; }
wanted=
for set in "$@"; do
	case $set in
	build) wanted="$wanted $build" ;;
	test) wanted="$wanted $test" ;;
	bench)
		wanted="$wanted $bench"
		! command -v go >/dev/null 2>&1 || wanted=$(echo "$wanted" | sed 's/golang-go//')
		;;
	deep) wanted="$wanted $deep" ;;
	fuzz) wanted="$wanted $fuzz" ;;
	*) echo "$0: no set $set" >&2; exit 2 ;;
	esac
done

if ! command -v dpkg-query >/dev/null 2>&1; then
	echo "not a Debian system: the build needs what these packages hold:$wanted" | tr -s '\n ' ' ' >&2
	echo >&2
	exit 0
fi

# shellcheck disable=SC2086 # a list of names
have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p' | sort -u)
missing=
for p in $wanted; do
	echo "$have" | grep -qx "$p" || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null 2>&1; then
		echo "missing Debian packages; as root: apt-get install --no-install-recommends$missing" >&2
		exit 1
	fi
	as_root=sudo
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 "$@" >"$log" 2>&1
}
echo "installing Debian packages:$missing" >&2
# shellcheck disable=SC2086
if ! apt install --no-install-recommends $missing; then
	apt update || { cat "$log" >&2; exit 1; }
	# shellcheck disable=SC2086
	apt install --no-install-recommends $missing || { cat "$log" >&2; exit 1; }
fi
