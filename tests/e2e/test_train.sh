#!/bin/sh
# The main job on a small stream: bounded replay, the reader's contract, dead letters, restart, kill -9, the two signals.
. "$(dirname "$0")/lib.sh"

"$S4REC" generate --events 6000 --users 300 --items 80 --interests 4 --malformed 0.01 --duplicates 0 --late 0 >"$TMP/events.jsonl" 2>"$TMP/gen.log"
bad=$(grep -c '^!raw' "$TMP/events.jsonl") || fail "the generator made no malformed record"
good=$(grep -vc '^!raw' "$TMP/events.jsonl")
load() { "$S4REC" topics create -t "$1" >"$TMP/create.log" 2>&1 && "$S4REC" load -t "$1" "$TMP/events.jsonl" >"$TMP/load.log" 2>&1; }

# 1. one undisturbed run
A=${PREFIX}_a; load "$A" || fail "load"
"$S4REC" train -t "$A" --until end $(small) >"$TMP/train_a.log" 2>&1 || fail "train exits $?"
grep -q "events=$good " "$TMP/train_a.log" || fail "trained events differ from $good"
grep -q "dead_letters=$bad$" "$TMP/train_a.log" || fail "dead letters differ from $bad"
view "$A" >"$TMP/a.view"
grep -q 'complete' "$TMP/view.log" && ! grep -qi 'incomplete' "$TMP/view.log" || { cat "$TMP/view.log"; fail "the view is not complete"; }
items=$(grep -c '"key":"item/' "$TMP/a.view"); users=$(grep -c '"key":"user/' "$TMP/a.view"); protos=$(grep -c '"key":"prototype/' "$TMP/a.view")
"$S4REC" read -e -t "$A" 2>/dev/null | grep '"key":"model"' | tail -n 1 >"$TMP/model.json"
grep -q "\"total_items\":$items,\"total_users\":$users,\"total_prototypes\":$protos" "$TMP/model.json" || fail "rows ($items items, $users users, $protos prototypes) differ from the version record: $(cat "$TMP/model.json")"
[ "$protos" = 8 ] || fail "8 prototypes expected, $protos found"

# 2. nothing new: a second run replays silently and publishes nothing
"$S4REC" train -t "$A" --until end $(small) >"$TMP/again.log" 2>&1 || fail "second run exits $?"
grep -q 'replay done' "$TMP/again.log" || fail "the second run did not replay"
view "$A" | cmp -s - "$TMP/a.view" || fail "a run without news changed the rows"

# 3. other fold options on the same cuts are refused
expect_exit 78 "$S4REC" train -t "$A" --until end $(small --tau1 0.2)
expect_says 'other options'

# 4. killed again and again: in the end the same rows, byte for byte
B=${PREFIX}_b; load "$B"
kills=0
while :; do
	"$S4REC" train -t "$B" --until end $(small) >>"$TMP/train_b.log" 2>&1 & pid=$!; PIDS="$PIDS $pid"
	sleep "0.$((3 + kills))"
	if [ "$kills" -lt 5 ]; then
		kill -9 "$pid" 2>/dev/null && kills=$((kills + 1)) || :
		wait "$pid" 2>/dev/null || :
	else
		wait "$pid" || fail "train after $kills kills exits $?"
		break
	fi
done
view "$B" >"$TMP/b.view"
cmp -s "$TMP/a.view" "$TMP/b.view" || fail "after $kills kills the rows differ: $(diff "$TMP/a.view" "$TMP/b.view" | wc -l) lines"

# 5. live: SIGTERM finishes and commits, exit 0; what was read is not trained again
C=${PREFIX}_c; load "$C"
"$S4REC" train -t "$C" $(small --linger.ms 50 --commit.ms 100) >"$TMP/train_c.log" 2>&1 & pid=$!; PIDS="$PIDS $pid"
i=0; until [ "$("$S4REC" read -e -t "$C" --vectors 0 2>/dev/null | grep -c '"key":"user/')" -gt 100 ] || [ $i -gt 60 ]; do i=$((i + 1)); sleep 0.3; done
kill -TERM "$pid"; code=0; wait "$pid" || code=$?
[ "$code" = 0 ] || fail "SIGTERM: exit $code"
"$S4REC" train -t "$C" --until end $(small --linger.ms 50 --commit.ms 100) >"$TMP/rest_c.log" 2>&1 || fail "after SIGTERM: exit $?"
grep -q "events=$good " "$TMP/rest_c.log" || fail "after SIGTERM and restart, events differ from $good"

# 6. fenced by a second worker: the first one leaves with 75, on an idle stream too
"$S4REC" train -t "$C" $(small --linger.ms 50 --commit.ms 100) >"$TMP/first.log" 2>&1 & first=$!; PIDS="$PIDS $first"
i=0; until grep -qs 'replay done' "$TMP/first.log" || [ $i -gt 60 ]; do i=$((i + 1)); sleep 0.2; done
"$S4REC" train -t "$C" $(small --linger.ms 50 --commit.ms 100) >"$TMP/second.log" 2>&1 & second=$!; PIDS="$PIDS $second"
i=0; until grep -qs 'replay done' "$TMP/second.log" || [ $i -gt 60 ]; do i=$((i + 1)); sleep 0.2; done
"$BUILD/tests/kafkatool" produce "$C.interactions" 0 u1 '{"item_id":"one more"}'
i=0; while kill -0 "$first" 2>/dev/null && [ $i -lt 60 ]; do i=$((i + 1)); sleep 0.2; done
code=0; wait "$first" || code=$?
[ "$code" = 75 ] || fail "a fenced worker exits $code instead of 75"
kill -TERM "$second"; code=0; wait "$second" || code=$?
[ "$code" = 0 ] || fail "the second worker exits $code"

# 7. input that is gone is an error, not a gap
expect_exit 78 "$S4REC" train -t "${PREFIX}_none" --until end $(small)
expect_says 'topics create'
echo "ok $NAME: $good events, $bad dead letters, $kills kills"
