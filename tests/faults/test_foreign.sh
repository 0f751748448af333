#!/bin/sh
# A transaction of somebody else, open on the state topic and on the batches topic while a worker restores: it must neither be read nor hide
# what was committed behind it. The start waits or goes on, and nothing is lost.
. "$(dirname "$0")/lib.sh"

reference
P=${PREFIX}_p; prefix_new "$P"; follow "$P"
dies() { # shellcheck disable=SC2046
	CRASH_POINT=$1 "$S4REC" $(worker "$P" --until end --state.flush.ms "$2") >"$TMP/crash.log" 2>&1 && fail "$1: it did not end" || :; }
dies flush.settled:2 50
for topic in state batches; do
	"$RECORDS" open "$P.$topic" "foreign.$topic" >"$TMP/foreign" 2>&1 & foreign=$!; PIDS="$PIDS $foreign"
	eventually 20 logged open "$TMP/foreign"
	# behind it: commits and a flush of ours, then a start that has to find them
	# shellcheck disable=SC2046
	start "$TMP/behind.log" $(worker "$P" --until end --state.flush.ms 50)
	sleep "${HELD_S:-2}"
	kill -9 "$pid" 2>/dev/null || :
	code=0; wait "$pid" || code=$?
	! logged ' error ' "$TMP/behind.log" || fail "$topic: $(grep ' error ' "$TMP/behind.log")"
	kill -TERM "$foreign"; ends "$foreign" 0
done
through "$P"
as_if_nothing_happened "$P"
echo "ok $NAME"
