#!/bin/sh
# The state topic is compacted, tombstones and all, between two runs; the second one goes on as if it had not been.
. "$(dirname "$0")/lib.sh"

P=${PREFIX}_p
"$TOOL" create-topic "$P.state" 1 cleanup.policy=compact segment.ms=200 min.cleanable.dirty.ratio=0.01 delete.retention.ms=0 max.compaction.lag.ms=500
prefix_new_but_state() {
	"$TOOL" create-topic "$P.embeddings" 4 cleanup.policy=compact min.compaction.lag.ms=7200000
	"$S4REC" topics create -t "$P" --input.topic "$INPUT" >"$TMP/create.log" 2>&1
}
prefix_new_but_state
# twice: what stands in the newest segment is not compacted, and a segment ends only when something more is written
for commit in 40 5; do
	# shellcheck disable=SC2046
	CRASH_POINT=commit.after_end:$commit "$S4REC" $(worker "$P" --until end --state.flush.ms 50) >"$TMP/crash.log" 2>&1 && fail "it did not end" || :
	sleep 0.3
done
# how many records of the state there are, and how many there were
counts() { awk '$2 == "state" { n++; if ($4 + 1 > m) m = $4 + 1 } END { print n + 0, m + 0 }' "$TMP/compacted"; }
compacted() { "$RECORDS" dump "$P" >"$TMP/compacted"; counts | awk '{ exit !($1 < $2 * 2 / 3) }'; }
eventually 30 compacted
through "$P"
"$RECORDS" dump "$P" >"$TMP/p.dump"
judge "$TMP/p.dump" "$P" "$FAULTS/reference.dump" "$REFERENCE" 7
echo "ok $NAME: records that are there, and that were: $(counts)"
