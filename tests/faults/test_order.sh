#!/bin/sh
# 1. A flush never overtakes the commit that it describes, however long that takes: the commit's thread sleeps, the process ends as soon as a
# flush has been committed. A manifest that names a step which nobody committed would keep the next start from going on.
. "$(dirname "$0")/lib.sh"

P=${PREFIX}_p; prefix_new "$P"; follow "$P"
for point in commit.before_begin commit.before_offsets txn.delivered; do
	# shellcheck disable=SC2046
	DELAY_POINT=$point:2 CRASH_POINT=flush.after_end "$S4REC" $(worker "$P" --until end --state.flush.ms 0 --transaction.timeout.ms 10000) >"$TMP/slow.log" 2>&1 & pid=$!
	ends "$pid" 137
done
through "$P"
as_if_nothing_happened "$P"

# 2. Ended again and again before a flush is due: a start flushes what it has replayed, else each would replay more than the one before.
Q=${PREFIX}_q; prefix_new "$Q"; follow "$Q"
replays_from() { sed -n 's/.* replaying the committed cuts of .* from step \([0-9]*\) on.*/\1/p' "$TMP/short$1.log"; }
for k in 1 2 3; do
	# shellcheck disable=SC2046
	DELAY_POINT=commit.before_begin:2 CRASH_POINT=commit.after_end:3 "$S4REC" $(worker "$Q" --until end --state.flush.ms 3600000) >"$TMP/short$k.log" 2>&1 & pid=$!
	ends "$pid" 137
done
[ "$(replays_from 2)" = 0 ] || fail "the second start replays from step $(replays_from 2)"
[ "$(replays_from 3)" -gt 0 ] || fail "what the second start has replayed, the third one replays again"

# 3. The commit's thread is in a call that does not come back: the watchdog ends the process, long before the call does.
# shellcheck disable=SC2046
DELAY_S=60 DELAY_POINT=commit.before_offsets:2 "$S4REC" $(worker "$Q" --until end --transaction.timeout.ms 1000) >"$TMP/stuck.log" 2>&1 & pid=$!
eventually 60 logged '^delay point' "$TMP/stuck.log"
eventually 30 logged 'outcome=unknown: the client does not return' "$TMP/stuck.log"
ends "$pid" 75
through "$Q"
as_if_nothing_happened "$Q"
echo "ok $NAME"
