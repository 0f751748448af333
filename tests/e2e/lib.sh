# lib.sh - what every end-to-end script starts with: strict mode, a topic prefix and a folder of its own, small helpers.
# Needs BROKER=host:port and BUILD=folder of the binary in the environment.
set -eu
: "${BROKER:?set BROKER=host:port (tests/broker/broker.sh run does)}"
BUILD=${BUILD:-build}
S4REC=$BUILD/s4rec
TOOL=$BUILD/tests/kafkatool
export S4REC_BOOTSTRAP_SERVERS="$BROKER"
NAME=$(basename "$0" .sh)
PREFIX=${NAME}_$$_$(date +%s) # a broker may see many runs, and process ids come again
export S4REC_TOPIC_PREFIX="$PREFIX"
export S4REC_ATTEMPTS_MAX=0 # tests kill for reasons of their own
TMP=$(mktemp -d)
# Our own children that still run, and none else: a process id comes again before a long test has ended.
kill_children() {
	jobs >/dev/null # dash: those that have ended are forgotten then
	jobs -p >"$TMP/jobs"
	while read -r pid; do kill -9 "$pid" 2>/dev/null || :; done <"$TMP/jobs"
}
cleanup() {
	code=$?
	kill_children
	[ ! -e "$TMP/broker/pid" ] || tests/broker/broker.sh kill "$TMP/broker" # of its own
	[ "$code" = 0 ] || { echo "FAILED $NAME (exit $code); its last output:"; tail -n 15 "$TMP"/*.log 2>/dev/null || :; } >&2
	rm -rf "$TMP"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP # dash runs no EXIT trap on a signal
fail() { echo "$NAME: $*" >&2; exit 1; }
# expect CODE ARGS...: runs s4rec on $TMP/in if there is one, output to $TMP/out.log and $TMP/err.log; what takes EXPECT_S stalls
expect() {
	want=$1; shift
	got=0; in=/dev/null; [ ! -e "$TMP/in" ] || in=$TMP/in
	timeout "${EXPECT_S:-300}" "$S4REC" "$@" >"$TMP/out.log" 2>"$TMP/err.log" <"$in" || got=$?
	[ "$got" = "$want" ] || unexpected "expected exit $want, got $got: s4rec $*"
}
unexpected() { tail -n 30 "$TMP/out.log" "$TMP/err.log" >&2; fail "$@"; }
# what the last `expect` said to stderr, or printed, as a fixed text
says() { grep -qF -- "$1" "$TMP/err.log" || unexpected "stderr lacks: $1"; }
prints() { grep -qF -- "$1" "$TMP/out.log" || unexpected "stdout lacks: $1"; }
# eventually SECONDS COMMAND...: until it succeeds
eventually() {
	left=$(($1 * 50)); shift
	until "$@"; do
		[ "$left" -gt 0 ] || fail "in vain: $*"
		left=$((left - 1)); sleep 0.02
	done
}
logged() { grep -qs -- "$1" "$2"; }
# start LOG ARGS...: s4rec in the background, both outputs to LOG; its process id is $pid
start() {
	log=$1; shift
	: >"$log"
	"$S4REC" "$@" >"$log" 2>&1 & pid=$!
}
# ends PID CODE: waits for a process of ours
ends() { code=0; wait "$1" || code=$?; [ "$code" = "$2" ] || fail "expected exit $2, got $code"; }
# topics and events of a prefix: load PREFIX FILE
load() { "$S4REC" topics create -t "$1" >"$TMP/create.log" 2>&1 && "$S4REC" load -t "$1" "$2" >"$TMP/load.log" 2>&1 || fail "cannot load $2 to $1"; }
# dead_letters PREFIX COUNT: so many, each of another record
dead_letters() {
	"$TOOL" dump "$1.dlq" >"$TMP/dlq"
	[ "$(wc -l <"$TMP/dlq") $(grep -o 's4rec.partition=.*' "$TMP/dlq" | LC_ALL=C sort -u | wc -l)" = "$2 $2" ] ||
		fail "$2 dead letters expected, each of another record; there are $(wc -l <"$TMP/dlq")"
}
# small model, so that a test takes seconds
small() { echo --width 16 --prototypes 8 --layers 1 --max.length 10 --batch.users 32 --commit.steps 4 --threads 2 --warmup.steps 0 "$@"; }
# the final view of a prefix: the last record of each row, without what a clock wrote and without deleted rows, sorted
view() {
	"$S4REC" read -e -t "$1" 2>"$TMP/view.log" | awk -F'"' '$4 != "model" { last[$4] = $0 } END { for (k in last) if (last[k] !~ /"deleted":true/) print last[k] }' | LC_ALL=C sort
}
# everything that was ever published, and of it what the version records say beside clocks
raw() { "$S4REC" read -e -t "$1" 2>"$TMP/view.log" | LC_ALL=C sort; }
versions() { sed -n '/^{"key":"model",/s/"published_ms":[0-9]*,"freshness_p50_ms":[-0-9]*,"freshness_p99_ms":[-0-9]*,//p'; }
# stream FILE EVENTS: a small click stream; $good of its records are events, $bad are not
stream() {
	"$S4REC" generate --events "$2" --users 300 --items 80 --interests 4 --malformed 0.01 --duplicates 0 --late 0 >"$1" 2>"$TMP/gen.log"
	bad=$(grep -c '^!raw' "$1") || fail "the generator made no malformed record"
	good=$(grep -vc '^!raw' "$1")
}
# again PREFIX SIGNAL TIMES OPTIONS...: `train --until end` that gets SIGNAL so many times, each time after some more steps, then runs
# to its end. Counts in $hits how often it was really in the middle,
# by $last_step where the signal is TERM; $bad is the number of dead letters.
again() {
	prefix=$1 signal=$2 times=$3; shift 3
	hits=0 tries=0 log=$TMP/again.log
	while [ "$tries" -lt "$times" ]; do
		tries=$((tries + 1))
		start "$log" train -t "$prefix" --until end --progress.ms 100 $(small "$@")
		if [ "$signal" = KILL ] && [ $((tries % 3)) = 0 ]; then
			sleep "0.$((tries % 7))" # anywhere: at the start, in the replay
		else
			eventually 60 logged ' train events=' "$log" # the replay is over
		fi
		kill "-$signal" "$pid" 2>/dev/null || :
		code=0; wait "$pid" || code=$?
		case $signal$code in
		KILL137) hits=$((hits + 1)) ;;
		TERM0) ! grep ' stopped ' "$log" | grep -qv " step=$last_step " || hits=$((hits + 1)) ;;
		KILL0) ;;
		*) fail "after $signal the exit is $code" ;;
		esac
	done
	[ "$hits" -ge 2 ] || fail "$signal came in the middle only $hits times"
	expect 0 train -t "$prefix" --until end $(small "$@")
	says " dead_letters=$bad"
	dead_letters "$prefix" "$bad"
}
# same_view FILE PREFIX WHAT: the view of the prefix is the one in the file
same_view() { view "$2" >"$TMP/other.view"; cmp -s "$1" "$TMP/other.view" || fail "$3: $(diff "$1" "$TMP/other.view" | grep -c '^[<>]') lines of the rows differ"; }
