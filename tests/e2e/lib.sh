# lib.sh - what every end-to-end script starts with: strict mode, a topic prefix and a folder of its own, small helpers.
# Needs BROKER=host:port and BUILD=folder of the binary in the environment.
set -eu
: "${BROKER:?set BROKER=host:port (tests/broker/broker.sh run does)}"
BUILD=${BUILD:-build}
S4REC=$BUILD/s4rec
export S4REC_BOOTSTRAP_SERVERS="$BROKER"
NAME=$(basename "$0" .sh)
PREFIX=${NAME}_$$
export S4REC_TOPIC_PREFIX="$PREFIX"
TMP=$(mktemp -d)
PIDS=
cleanup() {
	code=$?
	for pid in $PIDS; do kill -9 "$pid" 2>/dev/null || :; done
	[ "$code" = 0 ] || { echo "FAILED $NAME (exit $code); its last output:"; tail -n 15 "$TMP"/*.log 2>/dev/null || :; } >&2
	rm -rf "$TMP"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP # dash runs no EXIT trap on a signal
fail() { echo "$NAME: $*" >&2; exit 1; }
# expect_exit CODE COMMAND...: runs it, output to $TMP/out.log
expect_exit() {
	want=$1; shift
	got=0; "$@" >"$TMP/out.log" 2>&1 || got=$?
	[ "$got" = "$want" ] || { cat "$TMP/out.log" >&2; fail "expected exit $want, got $got: $*"; }
}
expect_says() { grep -q -- "$1" "$TMP/out.log" || { cat "$TMP/out.log" >&2; fail "the output lacks: $1"; }; }
# small model, so that a test takes seconds
small() { echo --width 16 --prototypes 8 --layers 1 --max.length 10 --batch.users 32 --commit.steps 4 --threads 2 --warmup.steps 0 "$@"; }
# the final view of a prefix: the last record of each row, without what a clock wrote and without deleted rows, sorted
view() {
	"$S4REC" read -e -t "$1" 2>"$TMP/view.log" | awk -F'"' '$4 != "model" { last[$4] = $0 } END { for (k in last) if (last[k] !~ /"deleted":true/) print last[k] }' | LC_ALL=C sort
}
