#!/bin/sh
# A batch that ends process after process stops the worker for good; an operator passes it by, and every replay passes it the same way.
# not with sanitizers: long; the code is that of train
. "$(dirname "$0")/lib.sh"
export S4REC_ATTEMPTS_MAX=3

stream "$TMP/events.jsonl" 6000
attempts() { "$TOOL" dump "$1.batches" | grep -c ' attempt ' || :; }
no_commit="--commit.steps 1000 --state.flush.ms 3600000 --progress.ms 100"
# dies PREFIX: a start that trains and is killed before its first commit
dies() {
	# shellcheck disable=SC2086
	start "$TMP/dies.log" train -t "$1" --until end $(small $no_commit)
	eventually 60 logged ' train events=' "$TMP/dies.log"
	kill -KILL "$pid" 2>/dev/null; ends "$pid" 137
}

# 1. three starts die over one batch; the fourth says so and does not try
A=${PREFIX}_a; load "$A" "$TMP/events.jsonl"
for n in 1 2 3; do dies "$A"; [ "$(attempts "$A")" = $n ] || fail "$n starts left $(attempts "$A") attempts"; done
expect 65 train -t "$A" --until end $(small)
says 'step 1: 3 starts since 20'; says '--attempts.max 0'; says '--skip.batch 1'
[ "$(attempts "$A")" = 3 ] || fail "a refused start left an attempt"

# 2. only the next batch can be skipped
expect 64 train -t "$A" --until end --skip-batch 2 $(small)
says 'skip.batch=2: the next batch is that of step 1'

# 3. skipped: its records are dead letters; killed behind it, the replay passes it, too
# shellcheck disable=SC2086
start "$TMP/skip.log" train -t "$A" --until end --skip-batch 1 --state.flush.ms 3600000 --progress.ms 100 $(small)
eventually 60 logged ' train events=[1-9][0-9][0-9][0-9]' "$TMP/skip.log"
kill -KILL "$pid" 2>/dev/null; ends "$pid" 137
skipped=$(sed -n 's/.*step=1 skipped: its \([0-9]*\) records.*/\1/p' "$TMP/skip.log")
[ "${skipped:-0}" -gt 0 ] || fail "the log does not say how many records were skipped"
expect 0 train -t "$A" --until end --skip-batch 1 $(small) # a supervisor gives the option again: its cut is committed, the position is behind it
says 'replaying the committed cuts'; says 'nothing is skipped by this start'
"$TOOL" dump "$A.dlq" >"$TMP/dlq"
reasons=$(grep -c 's4rec.reason=skipped batch' "$TMP/dlq")
of_others=$((bad - $(grep -vc 's4rec.reason=skipped batch' "$TMP/dlq"))) # malformed ones keep their reason, whichever batch they are in
[ "$of_others" = 0 ] || fail "$of_others malformed records have another reason"
says " events=$((good - reasons)) "
[ "$reasons" -gt 0 ] && [ "$reasons" -le "$skipped" ] || fail "$reasons of $skipped skipped records are dead letters for that"
view "$A" >"$TMP/a.view"

# 4. one that was not killed ends with the same rows
B=${PREFIX}_b; load "$B" "$TMP/events.jsonl"
expect 0 train -t "$B" --until end --skip-batch 1 $(small)
same_view "$TMP/a.view" "$B" "skipped without a kill"

# 5. a start that has nothing to train leaves no attempt; the commits have reset the count
before=$(attempts "$A")
expect 0 train -t "$A" --until end $(small)
[ "$(attempts "$A")" = "$before" ] || fail "an idle start left an attempt"
"$S4REC" generate --events 6000 --skip 6000 --users 300 --items 80 --interests 4 --malformed 0.01 --duplicates 0 --late 0 2>"$TMP/gen.log" | "$S4REC" load -t "$A" - >"$TMP/load.log" 2>&1
dies "$A"; dies "$A"
expect 0 train -t "$A" --until end $(small)

# 6. readers' topic made anew, too: the number is still the batch's, and all rows go out with it
"$S4REC" generate --events 6000 --skip 6000 --users 300 --items 80 --interests 4 2>"$TMP/gen.log" | "$S4REC" load -t "$B" - >"$TMP/load.log" 2>&1
"$TOOL" delete-topic "$B.embeddings"; expect 0 topics create -t "$B"
expect 64 train -t "$B" --until end --skip-batch 999999 $(small)
next=$(sed -n 's/.*the next batch is that of step \([0-9]*\).*/\1/p' "$TMP/err.log")
expect 0 train -t "$B" --until end --skip-batch "$next" $(small)
says "$B.embeddings: 4 of 4 partitions are empty"
logged "step=$next skipped: its [1-9]" "$TMP/err.log" || fail "the batch was not skipped"
expect 0 read -e -t "$B"; says 'complete: '
[ "$(grep -o '"key":"user/[^"]*"' "$TMP/out.log" | LC_ALL=C sort -u | wc -l)" -ge 290 ] || fail "the rows did not come back"
echo "ok $NAME: $skipped records skipped"
