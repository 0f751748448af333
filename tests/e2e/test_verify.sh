#!/bin/sh
# `s4rec verify`: a state that follows from its log is equal, by sums and one by one; one that does not is found, and the rows are named.
# not with sanitizers: minutes; the code is that of restore and replay, but for the comparison
# shellcheck disable=SC2086
. "$(dirname "$0")/lib.sh"
stream "$TMP/events.jsonl" 6000
split -n l/3 "$TMP/events.jsonl" "$TMP/part."
A=${PREFIX}_a

model=$(small | sed 's/--commit.steps [0-9]* //') # what the model depends on

# 1. nothing to compare with, then only one state, which the beginning of the log leads to; what is scored beside it (eval.covisit) is no part of it
load "$A" "$TMP/part.aa"
expect 69 verify -t "$A" $model
says 'there is no state yet'
expect 0 train -t "$A" --until end --eval.covisit 1 $(small)
expect 0 verify -t "$A" --from beginning $model
prints "equal: $A, steps 1 to "; prints 'from the first cut'
expect 0 verify -t "$A" $model
prints "equal: $A, steps 1 to "; prints 'from the first cut'; prints 'by their sums and one by one'

# 2. two states; a batch that was skipped is passed the same way; nothing is written
step=$(sed -n 's/.*state flushed: step=\([0-9]*\).*/\1/p' "$TMP/err.log" | tail -n 1)
"$S4REC" load -t "$A" "$TMP/part.ab" >"$TMP/load.log" 2>&1
next=$("$S4REC" read -e -t "$A" --vectors 0 2>/dev/null | sed -n 's/^{"key":"model",.*"step":\([0-9]*\),.*/\1/p' | sort -n | tail -n 1)
expect 0 train -t "$A" --until end --skip-batch $((next + 1)) $(small)
"$TOOL" dump "$A.state" >"$TMP/state"; "$TOOL" dump "$A.batches" >"$TMP/cuts"; raw "$A" >"$TMP/rows"
expect 0 verify -t "$A" $model
prints "equal: $A, steps $((next + 1)) to "; prints 'from the state before'; prints 'by their sums and one by one'
expect 69 verify -t "$A" --from beginning $model
says 'older cuts were removed'
"$TOOL" dump "$A.state" | cmp -s - "$TMP/state" && "$TOOL" dump "$A.batches" | cmp -s - "$TMP/cuts" && raw "$A" | cmp -s - "$TMP/rows" || fail "verify wrote something"

# 3. other options, another kind of machine
expect 78 verify -t "$A" $model --tau1 0.2
says 'other options'
if [ "$(uname -m)" = x86_64 ] && grep -q avx2 /proc/cpuinfo; then
	expect 78 verify -t "$A" --kernel portable $model
	says 'computes by blas-'
	expect 65 verify -t "$A" --kernel portable --accept-numerics $model
	prints "different: $A"
fi

# 4. beside a worker that is alive, which goes on undisturbed
start "$TMP/live.log" train -t "$A" --state.flush.ms 2000 --progress.ms 1000 $(small)
eventually 60 logged 'replay done' "$TMP/live.log"
"$S4REC" generate --events 4000 --rate 400 --users 300 --items 80 --interests 4 --start now 2>"$TMP/gen.log" | "$S4REC" load -t "$A" - >"$TMP/load.log" 2>&1 &
eventually 60 sh -c "[ \$(grep -c 'state flushed' '$TMP/live.log') -ge 2 ]"
expect 0 verify -t "$A" --wait 30 $model
prints "equal: $A"
kill -TERM "$pid"; ends "$pid" 0
! logged ' error ' "$TMP/live.log" || fail "the worker was disturbed: $(grep ' error ' "$TMP/live.log")"

# 5. from an exported file, where a model was imported from it
B=${PREFIX}_b
expect 0 export "$TMP/model.s4rec" -t "$A" $model
expect 0 topics create -t "$B"
"$S4REC" load -t "$B" "$TMP/part.ac" >"$TMP/load.log" 2>&1
expect 0 import "$TMP/model.s4rec" -t "$B" $model
expect 0 train -t "$B" --until end $(small)
expect 0 verify -t "$B" --from "$TMP/model.s4rec" $model
prints "equal: $B"
expect 69 verify -t "$A" --from "$TMP/model.s4rec" $model
says 'does not begin where that model begins'

# 6. after a rollback: the fold begins behind it, with the next state
expect 0 export "$TMP/now.s4rec" -t "$B" $model
"$S4REC" load -t "$B" "$TMP/part.aa" >"$TMP/load.log" 2>&1
expect 0 train -t "$B" --until end $(small)
expect 0 rollback "$TMP/now.s4rec" -t "$B" $model
expect 69 verify -t "$B" $model
says 'the weights were replaced'
start "$TMP/verify.log" verify -t "$B" --wait 120 $model; verify=$pid
sleep 1
start "$TMP/live.log" train -t "$B" $(small); live=$pid # no event: its end flushes the batch of nothing that publishes all rows
eventually 60 sh -c "'$S4REC' read -e -t '$B' | grep -q default-2"
kill -TERM "$live"; ends "$live" 0
ends "$verify" 0
logged "^equal: $B" "$TMP/verify.log" || fail "verify: $(cat "$TMP/verify.log")"

# 7. a row changed on purpose, and its sums with it
"$TOOL" tamper "$A.state" item/i1 sums
expect 65 verify -t "$A" $model
prints "different: $A"; says 'different: row '; says 'item/i1'; says 'different: item_hash is '

# 8. a row changed without its sums
"$TOOL" tamper "$B.state" item/i2
expect 65 verify -t "$B" $model
prints "different: $B"; says 'items differ from the manifest'
echo "ok $NAME"
