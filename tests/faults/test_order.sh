#!/bin/sh
# A flush never overtakes the commit that it describes, however long that takes: the commit's thread sleeps, the process ends as soon as a
# flush has been committed. A manifest that names a step which nobody committed would keep the next start from going on.
. "$(dirname "$0")/lib.sh"

P=${PREFIX}_p; prefix_new "$P"; follow "$P"
for point in commit.before_begin commit.before_offsets txn.delivered; do
	# shellcheck disable=SC2046
	DELAY_POINT=$point:2 CRASH_POINT=flush.after_end "$S4REC" $(worker "$P" --until end --state.flush.ms 0 --transaction.timeout.ms 10000) >"$TMP/slow.log" 2>&1 & pid=$!
	PIDS="$PIDS $pid"
	ends "$pid" 137
done
through "$P"
as_if_nothing_happened "$P"
echo "ok $NAME"
