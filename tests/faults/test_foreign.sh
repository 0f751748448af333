#!/bin/sh
# A transaction of somebody else stays open on the state topic, or on the batches topic, while a worker commits behind it, is killed, and the
# next one starts. It hides what was committed behind it from a read_committed reader: the start waits for that, it does not begin before it.
. "$(dirname "$0")/lib.sh"

P=${PREFIX}_p; prefix_new "$P"; follow "$P"
cuts_now() { "$TOOL" dump "$P.batches" | wc -l; }
for topic in state batches; do
	# it rests for two seconds at its tenth commit, else it might be through before the transaction is open
	export DELAY_POINT=commit.staged:10
	# shellcheck disable=SC2046
	start "$TMP/first.log" $(worker "$P" --until end --state.flush.ms 50)
	unset DELAY_POINT
	eventually 60 logged 'state flushed' "$TMP/first.log"
	"$RECORDS" open "$P.$topic" "foreign.$topic" >"$TMP/foreign" 2>&1 & foreign=$!
	eventually 20 logged open "$TMP/foreign"
	flushes=$(grep -c 'state flushed' "$TMP/first.log")
	more_flushes() { [ "$(grep -c 'state flushed' "$TMP/first.log")" -ge $((flushes + 2)) ]; }
	eventually 60 more_flushes
	kill -9 "$pid" 2>/dev/null || fail "it was through before the transaction was open: nothing was tested"
	ends "$pid" 137
	# shellcheck disable=SC2046
	start "$TMP/second.log" $(worker "$P" --until end --state.flush.ms 50)
	sleep 3
	! logged ' train events=' "$TMP/second.log" || fail "$topic: it began to train before it could have read what was committed"
	kill -TERM "$foreign"; ends "$foreign" 0
	eventually 60 logged ' train events=' "$TMP/second.log"
	kill -9 "$pid" 2>/dev/null || :
	code=0; wait "$pid" || code=$?
	! logged ' error ' "$TMP/second.log" || fail "$topic: $(grep ' error ' "$TMP/second.log")"
done
through "$P"
as_if_nothing_happened "$P"
echo "ok $NAME"
