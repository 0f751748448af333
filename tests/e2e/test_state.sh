#!/bin/sh
# The state topic: a start restores it and replays only the cuts behind it; killed at any time, the rows and the evaluation end the same.
. "$(dirname "$0")/lib.sh"

"$S4REC" generate --events 8000 --users 300 --items 80 --interests 4 --malformed 0.01 --duplicates 0 --late 0 >"$TMP/part1.jsonl" 2>"$TMP/gen.log"
head -n 4000 "$TMP/part1.jsonl" >"$TMP/events.jsonl"
for u in 1 2 3 4 5 6 7 8 9; do echo "!forget u$u"; done >>"$TMP/events.jsonl" # some of them come back
tail -n 4000 "$TMP/part1.jsonl" >>"$TMP/events.jsonl"
train() { prefix=$1; shift; "$S4REC" train -t "$prefix" --until end $(small --state.flush.ms 50 "$@"); }

# killed ARGS...: an undisturbed run against one that is killed again and again
killed() {
	a=${PREFIX}_a$1 b=${PREFIX}_b$1; shift
	load "$a" "$TMP/events.jsonl"; load "$b" "$TMP/events.jsonl"
	train "$a" --eval.out "$TMP/a.ranks" "$@" >"$TMP/a.log" 2>&1 || fail "train exits $?"
	view "$a" >"$TMP/a.view"
	kills=0 restored=0
	: >"$TMP/b.log"
	while :; do
		"$S4REC" train -t "$b" --until end $(small --state.flush.ms 50) --eval.out "$TMP/b.ranks" "$@" >"$TMP/b1.log" 2>&1 & pid=$!
		want='replay done\|new model'; [ $((kills % 2)) = 1 ] || want='state flushed' # killed soon after a start, or with state behind it
		[ "$kills" -ge 4 ] || eventually 60 logged "$want" "$TMP/b1.log"
		[ "$kills" -ge 4 ] || sleep "0.0$((1 + kills * 7 % 9))"
		[ "$kills" -lt 4 ] && kill -9 "$pid" 2>/dev/null && { kills=$((kills + 1)); wait "$pid" 2>/dev/null || :; restored=$((restored + $(grep -c ' restored ' "$TMP/b1.log" || :))); continue; }
		wait "$pid" || fail "train after $kills kills exits $?"
		restored=$((restored + $(grep -c ' restored ' "$TMP/b1.log" || :)))
		break
	done
	view "$b" >"$TMP/b.view"
	cmp -s "$TMP/a.view" "$TMP/b.view" || fail "$*: after $kills kills the rows differ: $(diff "$TMP/a.view" "$TMP/b.view" | wc -l) lines"
	cmp -s "$TMP/a.ranks" "$TMP/b.ranks" || fail "$*: after $kills kills eval.out differs"
	[ "$restored" -gt 0 ] || fail "no start restored state: nothing was tested"
	echo "$kills kills, $restored starts from state: same rows, same ranks ($*)"
}
killed 1
killed 2 --loss sampled --negatives 16 --negatives.recent 500 --embedding.format int8

# cuts below the second-newest manifest are gone: the log of cuts does not grow for ever
"$TOOL" dump "${PREFIX}_a1.batches" >"$TMP/cuts"
[ "$(wc -l <"$TMP/cuts")" -gt 0 ] && [ "$(head -n 1 "$TMP/cuts" | cut -d' ' -f2)" -gt 0 ] || fail "old cuts are still there: $(wc -l <"$TMP/cuts")"

# nothing new: restored, nothing to replay, nothing published; the input of before is not needed
A=${PREFIX}_a1
for p in 0 1 2 3; do "$BUILD/tests/kafkatool" delete-records "$A.interactions" "$p" -1; done
train "$A" --eval.out "$TMP/a1.ranks" >"$TMP/again.log" 2>&1 || fail "a start without news exits $?"
grep -q ' restored ' "$TMP/again.log" && ! grep -q 'replaying' "$TMP/again.log" || fail "a start after a clean stop replays"
view "$A" >"$TMP/again.view"
killed=; [ "$(wc -l <"$TMP/again.view")" -gt 100 ] || fail "the view is empty"

# the last cut is the position: where the group stands is a mirror, which tools set back
"$TOOL" commit "$A" "$A.interactions" 0 0
expect 0 train -t "$A" --until end $(small --state.flush.ms 50)
says 'stands at offset 0 of'; says 'going on from the cut'
view "$A" | cmp -s - "$TMP/again.view" || fail "the group's offset was believed"

# an input topic made anew is not the one that the state was folded from, however long it is
N=${PREFIX}_n; load "$N" "$TMP/part1.jsonl"
train "$N" >"$TMP/n.log" 2>&1 || fail "train exits $?"
"$TOOL" delete-topic "$N.interactions"
"$TOOL" create-topic "$N.interactions" 4 cleanup.policy=delete
"$S4REC" load -t "$N" "$TMP/events.jsonl" >"$TMP/load.log" 2>&1; "$S4REC" load -t "$N" "$TMP/events.jsonl" >>"$TMP/load.log" 2>&1
expect 65 train -t "$N" --until end $(small --state.flush.ms 50)
says 'are not those that were trained'

# other fold options do not fit the state
expect 78 train -t "$A" --until end $(small --state.flush.ms 50 --tau1 0.2)
says 'other options'

# state in a format of tomorrow
"$TOOL" newer "$N.state"
expect 78 train -t "$N" --until end $(small --state.flush.ms 50)
says 'was written by a newer s4rec (format 2, this one knows 1)'

# a record of somebody else's is noticed
"$BUILD/tests/kafkatool" produce "$A.state" 0 item/foreign garbage
expect 65 train -t "$A" --until end $(small --state.flush.ms 50)
says 'key item/foreign: not a row of this model'
echo "ok $NAME"
