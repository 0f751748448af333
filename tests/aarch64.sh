#!/bin/sh
# aarch64.sh - `make check-aarch64`: topics, codec and model built for aarch64, and their unit tests run under qemu-user. Debian 12 or 13 of another
# machine kind; installs what is missing: cross compiler, qemu, and the arm64 libraries beside the machine's own (multiarch; not librdkafka-dev, of
# which Debian 13 does not take two). Of model it runs the golden files and what takes seconds there, some three minutes in all; ALL=1 runs all tests, an
# hour or so: central differences, each instruction translated. On an aarch64 machine `make check` is all of it, with worker.
set -eu
cd "$(dirname "$0")/.."
host=aarch64-linux-gnu
die() { echo "aarch64: $*" >&2; exit 1; }
has_package() { dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }
tests/setup.sh build

need=
for p in gcc-$host libc6-dev-arm64-cross qemu-user-static libopenblas-pthread-dev:arm64 libprotobuf-c-dev:arm64 libzstd-dev:arm64 \
	libyajl-dev:arm64 libxxhash-dev:arm64 libcmocka-dev:arm64; do
	has_package "$p" || need="$need $p"
done
if [ -n "$need" ]; then
	as_root=
	[ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && as_root=sudo; } || die "not root and no sudo; ask an administrator for: dpkg --add-architecture arm64; apt-get install$need"
	echo "aarch64: installing$need"
	$as_root dpkg --add-architecture arm64
	$as_root apt-get -qq update
	# shellcheck disable=SC2086 # words on purpose
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qqy install --no-install-recommends $need >/dev/null
fi
PKG_CONFIG_LIBDIR=/usr/lib/$host/pkgconfig:/usr/share/pkgconfig
RUN=$(command -v qemu-aarch64-static || command -v qemu-aarch64) || die "qemu-user-static has no qemu-aarch64"
OPENBLAS_NUM_THREADS=1 # else its threads wait in loops, which costs most where each instruction is translated
OPENBLAS_CORETYPE=ARMV8 # qemu's processor has SVE, and there OpenBLAS 0.3.29 allocates in small products (a step must not)
export PKG_CONFIG_LIBDIR RUN OPENBLAS_NUM_THREADS OPENBLAS_CORETYPE
checks() { make BUILD=build/aarch64 CC=$host-gcc AR=$host-ar PKGS="libzstd libprotobuf-c yajl" TIME_LIMIT=3600 "$@"; }
checks check-topics check-codec
[ -n "${ALL:-}" ] || export ONLY="augment idmap kmeans layers losses schedule rank"
checks check-model
