#!/bin/bash
# broker.sh - one real Kafka broker (single node, KRaft) on loopback, for tests.
#
#   broker.sh start DIR             starts one; its state is in DIR; ready when it returns. Again in the same DIR: same port, same data
#   broker.sh stop DIR              ends it: TERM, 10 s, KILL
#   broker.sh kill DIR              ends it at once, as a crash does
#   broker.sh run DIR -- COMMAND    start, COMMAND with BROKER=host:port, stop always; exit code of COMMAND.
#                                   With BROKER set by the caller: uses that one and starts nothing.
#
# DIR/address  127.0.0.1:PORT          DIR/pid  process id
# DIR/proxied  "LISTEN PORT": whoever comes by way of PORT is told to go to LISTEN, where a test may put a proxy (tests/faults/proxy.c)
# DIR/broker.log  what it said (run removes it when COMMAND went well)
# Ports are drawn at random below the ephemeral range; a start that cannot bind draws again, so any number may start at once.
# Jars come from build/kafka/lib (tests/setup.sh). KAFKA_DIR names another place.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
kafka=${KAFKA_DIR:-$root/build/kafka}
READY_S=60 STOP_S=10 TRIES=8

die() { echo "broker: $*" >&2; exit 1; }
usage() { sed -n '4,8s/^# *//p' "$0" >&2; exit 64; }
random_port() { echo $((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000)); }
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
alive() { { tr "\0" " " <"/proc/$1/cmdline"; } 2>/dev/null | grep -q "kafka\.Kafka"; }

# Writes DIR/server.properties: DIR and four ports, the last of which nobody listens on. The last block makes tests quick; production wants Kafka's own values there.
write_config() {
	cat >"$1/server.properties" <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$3
listeners=PLAINTEXT://127.0.0.1:$2,PROXIED://127.0.0.1:$4,CONTROLLER://127.0.0.1:$3
advertised.listeners=PLAINTEXT://127.0.0.1:$2,PROXIED://127.0.0.1:$5
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT
log.dirs=$1/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
log.cleaner.backoff.ms=200
log.cleaner.min.cleanable.ratio=0.01
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
EOF
	echo "127.0.0.1:$2" >"$1/address"
	echo "$5 $4" >"$1/proxied"
}

# A formatted, empty data folder: formatting takes 2 s, copying a formatted one nothing.
format() {
	if [ ! -d "$kafka/formatted" ]; then
		java -Xmx256m -XX:TieredStopAtLevel=1 -cp "$kafka/lib/*" kafka.tools.StorageTool format -t s4rec-tests-0000000000 -c "$1/server.properties" \
			>"$1/format.log" 2>&1 || { cat "$1/format.log" >&2; die "cannot format $1/data"; }
		rm -f "$1/format.log"
		copy=$(mktemp -d "$kafka/formatted.XXXXXX")
		cp -r "$1/data/." "$copy"
		mv -T "$copy" "$kafka/formatted" 2>/dev/null || rm -rf "$copy" # another start was quicker
	else
		mkdir -p "$1/data"
		cp -r "$kafka/formatted/." "$1/data"
	fi
}

# Starts java as a child of this shell. $2 names the guard: "bound" dies with this shell, "free" survives it.
launch() {
	local dir=$1 guard=() jsa=()
	if [ "$2" = bound ] && command -v setpriv >/dev/null; then guard=(setpriv --pdeathsig TERM); fi
	rm -f "$dir/archive"
	if [ -r "$kafka/broker.jsa" ]; then
		jsa=("-XX:SharedArchiveFile=$kafka/broker.jsa")
	elif [ ! -e "$kafka/broker.jsa.failed" ]; then
		echo "$kafka/broker.jsa.$$" >"$dir/archive"
		jsa=("-XX:ArchiveClassesAtExit=$kafka/broker.jsa.$$")
	fi
	# a session of its own: a Ctrl-C that ends the tests reaches the broker through `stop`, in order
	setsid "${guard[@]}" java -Xmx256m -Xms64m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto "${jsa[@]}" -Djava.awt.headless=true \
		-Dlog4j2.level=INFO -cp "$kafka/lib/*" kafka.Kafka "$dir/server.properties" </dev/null >"$dir/broker.log" 2>&1 &
	echo $! >"$dir/pid"
}

# 0 ready, 1 ended or too late
wait_ready() {
	local dir=$1 pid port deadline=$((SECONDS + READY_S))
	pid=$(cat "$dir/pid"); port=$(sed 's/.*://' "$dir/address")
	while [ $SECONDS -lt $deadline ]; do
		kill -0 "$pid" 2>/dev/null || return 1
		if grep -q 'Kafka Server started' "$dir/broker.log" && listens "$port"; then return 0; fi
		sleep 0.1
	done
	return 1
}

start() {
	local dir=$1 try again=
	ls "$kafka"/lib/kafka_2.13-*.jar >/dev/null 2>&1 || die "no jars in $kafka/lib; run tests/setup.sh"
	command -v java >/dev/null || die "no java; run tests/setup.sh"
	mkdir -p "$dir"
	[ ! -e "$dir/pid" ] || ! alive "$(cat "$dir/pid")" || die "one runs in $dir already (process $(cat "$dir/pid"))"
	if [ -e "$dir/server.properties" ] && [ -d "$dir/data" ]; then again=1; fi
	for ((try = 1; try <= TRIES; try++)); do
		if [ -z "$again" ]; then
			write_config "$dir" "$(random_port)" "$(random_port)" "$(random_port)" "$(random_port)"
			rm -rf "$dir/data"
			format "$dir"
		fi
		launch "$dir" "$2"
		if wait_ready "$dir"; then return 0; fi
		grep -qE 'BindException|Address already in use|must not (have|contain) (the same|duplicate)|Each listener must have a different port' "$dir/broker.log" || break
		stop "$dir" kill
		sleep 0.2
	done
	stop "$dir" kill
	tail -n 20 "$dir/broker.log" >&2
	die "does not start (try $try); all of its log: $dir/broker.log"
}

stop() {
	local dir=$1 how=${2:-term} pid wait_s=$STOP_S deadline
	[ -e "$dir/pid" ] || return 0
	pid=$(cat "$dir/pid")
	if alive "$pid"; then
		[ "$how" = kill ] || kill -TERM "$pid" 2>/dev/null || :
		[ ! -e "$dir/archive" ] || wait_s=60 # it writes the class archive while it ends
		deadline=$((SECONDS + wait_s))
		while [ "$how" != kill ] && alive "$pid" && [ $SECONDS -lt $deadline ]; do sleep 0.1; done
		if alive "$pid"; then kill -KILL "$pid" 2>/dev/null || :; fi
		while alive "$pid"; do sleep 0.05; done
	fi
	if [ -e "$dir/archive" ]; then
		[ ! -s "$(cat "$dir/archive")" ] || [ "$how" = kill ] || mv "$(cat "$dir/archive")" "$kafka/broker.jsa"
		rm -f "$(cat "$dir/archive")" "$dir/archive"
	fi
	rm -f "$dir/pid"
}

run() {
	local dir=$1 code=0
	shift 2
	if [ -n "${BROKER:-}" ]; then exec "$@"; fi
	trap 'stop "$dir"' EXIT
	trap 'exit 130' INT TERM HUP # the command has got a Ctrl-C too, and ends first
	start "$dir" bound
	BROKER=$(cat "$dir/address")
	export BROKER
	"$@" || code=$?
	stop "$dir"
	rm -rf "$dir/data" "$dir/server.properties" "$dir/address" "$dir/proxied"
	if [ "$code" = 0 ]; then rm -f "$dir/broker.log"; else echo "broker: its log is in $dir/broker.log" >&2; fi
	exit "$code"
}

[ $# -ge 2 ] || usage
command=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
case $command in
start) start "$dir" free; cat "$dir/address" ;;
stop) stop "$dir" ;;
kill) stop "$dir" kill ;;
run) [ "${3:-}" = -- ] && [ $# -ge 4 ] || usage; shift; shift; run "$dir" "$@" ;;
*) usage ;;
esac
