#!/bin/sh
# setup.sh - installs what building and testing s4rec need on Debian 12 or 13, then fetches the jars of a Kafka broker.
# Looks first: where everything is present it installs nothing and uses no network. Safe to run at any time, twice at once too.
#   tests/setup.sh          all of it
#   tests/setup.sh build    only what `make` needs
#   tests/setup.sh readers  all of it, and what `make test-readers` needs: a JDK, Go, Node, Redis, PostgreSQL
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
kafka=${KAFKA_DIR:-$root/build/kafka}
what=${1:-all}
say() { echo "setup: $*"; }
die() { echo "setup: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
has_package() { dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }
java_major() { # 17, 21, ...; 0 where there is no java
	have java || { echo 0; return; }
	java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | grep . || echo 0
}

have dpkg-query || die "not a Debian: install gcc, make, pkg-config, librdkafka, zstd, protobuf-c with protoc-c, yajl, libmicrohttpd, xxhash, cmocka, OpenBLAS (pthread build), Java 17, Maven, clang, cppcheck yourself"
. /etc/os-release
jars_complete() { [ -e "$kafka/lib/.complete" ] && cmp -s "$kafka/lib/.complete" "$root/tests/broker/pom.xml"; }

# 1. what is missing?
need=
want() { for p; do has_package "$p" || need="$need $p"; done; }
want build-essential pkg-config librdkafka-dev libopenblas-pthread-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler \
	libzstd-dev libyajl-dev libmicrohttpd-dev libxxhash-dev libcmocka-dev
if [ "$what" != build ]; then
	want ca-certificates
	/usr/bin/python3 -c 'import confluent_kafka' 2>/dev/null || want python3-confluent-kafka # a reader of topics/readers
	if [ "$(java_major)" -lt 17 ]; then
		case ${VERSION_ID:-} in
		12) want openjdk-17-jre-headless ;;
		*) want openjdk-21-jre-headless ;;
		esac
	fi
	jars_complete || have mvn || want maven
	have cppcheck || want cppcheck
	# the fuzzer's run time has the version of clang in its name
	if have clang; then
		clang_version=$(clang -dumpversion | cut -d. -f1)
	else
		case ${VERSION_ID:-} in
		12) clang_version=14 ;;
		13) clang_version=19 ;;
		*) clang_version= ;;
		esac
		want clang
	fi
	if [ -n "$clang_version" ] && ! ls "$(clang -print-resource-dir 2>/dev/null || echo /none)"/lib/*/libclang_rt.fuzzer*.a >/dev/null 2>&1; then
		want "libclang-rt-$clang_version-dev"
	fi
fi

if [ "$what" = readers ]; then
	have javac || want default-jdk-headless
	have go || want golang-go
	have node || want nodejs
	have npm || want npm
	want redis-server postgresql python3-redis python3-psycopg2
fi

# 2. install it
if [ -n "$need" ]; then
	if [ "$(id -u)" = 0 ]; then as_root=
	elif have sudo && sudo -n true 2>/dev/null; then as_root="sudo -n"
	elif have sudo && [ -t 0 ]; then as_root=sudo
	else die "not root and no sudo; ask an administrator for: apt-get install$need"
	fi
	say "installing$need"
	log=$(mktemp)
	install_packages() {
		# shellcheck disable=SC2086 # words on purpose
		$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy -o DPkg::Lock::Timeout=300 install --no-install-recommends $need </dev/null >"$log" 2>&1
	}
	$as_root apt-get -qq -o DPkg::Lock::Timeout=300 update </dev/null >"$log" 2>&1 || say "apt-get update failed, trying with the lists that are here"
	install_packages || { tail -n 20 "$log" >&2; rm -f "$log"; die "apt-get install failed"; }
	rm -f "$log"
fi
[ "$what" != build ] || exit 0

# 3. the broker's jars, into a folder that gets its name when it is complete
if ! jars_complete; then
	say "fetching the jars of the Kafka broker"
	mkdir -p "$kafka"
	tmp=$(mktemp -d "$kafka/lib.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	chmod 755 "$tmp"
	mvn -q -B -C -f "$root/tests/broker/pom.xml" dependency:copy-dependencies -DoutputDirectory="$tmp" </dev/null >"$tmp/.log" 2>&1 ||
		{ tail -n 20 "$tmp/.log" >&2; die "Maven could not fetch the jars"; }
	rm -f "$tmp/.log"
	ls "$tmp"/kafka_2.13-*.jar >/dev/null || die "Maven ended well but copied no broker"
	cp "$root/tests/broker/pom.xml" "$tmp/.complete"
	# what an older pom left goes; a set that another run finished in the meantime stays
	if ! jars_complete; then
		rm -rf "$kafka/lib" "$kafka/formatted" "$kafka"/broker.jsa*
		mv -T "$tmp" "$kafka/lib" 2>/dev/null || jars_complete || die "cannot put $kafka/lib in place"
	fi
fi

# 4. one start and stop: leaves the formatted folder and the class archive that make later starts quick
if [ ! -e "$kafka/broker.jsa" ] && [ ! -e "$kafka/broker.jsa.failed" ]; then
	say "first start of the broker"
	tmp2=$(mktemp -d)
	env -u BROKER "$root/tests/broker/broker.sh" run "$tmp2" -- true || { tail -n 20 "$tmp2/broker.log" >&2; rm -rf "$tmp2"; die "the broker does not start"; }
	rm -rf "$tmp2"
	[ -e "$kafka/broker.jsa" ] || : >"$kafka/broker.jsa.failed" # only slower; do not try at each call
fi
