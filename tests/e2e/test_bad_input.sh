#!/bin/sh
# Every kind of bad record costs one dead letter with its reason and origin; forgetting deletes; lost input is refused.
. "$(dirname "$0")/lib.sh"
TOOL=$BUILD/tests/kafkatool
IN=$PREFIX.interactions
"$S4REC" topics create --partitions 2 >"$TMP/create.log" 2>&1
put() { "$TOOL" produce "$IN" "$@"; }
now=$(date +%s)000
i=0; while [ $i -lt 12 ]; do put $((i % 2)) "u$((i % 3))" "{\"item_id\":\"i$i\",\"event_id\":\"e$i\",\"timestamp\":$now}"; i=$((i + 1)); done
put 0 u1 'neither protobuf \x00\xff nor JSON'
put 0 u1 '{"item_id":'
put 1 - "{\"item_id\":\"i1\",\"timestamp\":$now}"
put 1 u1 "{\"timestamp\":$now}"
put 0 u1 "{\"item_id\":\"i1\",\"timestamp\":\"9999-01-01T00:00:00Z\"}"
put 0 u1 '\x0a\x02i1\x25\x00\x00\xc0\x7f'
put 0 u1 "{\"item_id\":\"\\xff\\xfe\",\"timestamp\":$now}"
"$TOOL" fill "$IN" 0 u1 70000
put 1 u2 "{\"item_id\":\"i3\",\"event_id\":\"last\",\"timestamp\":$now}"
"$S4REC" train --until end $(small) >"$TMP/train.log" 2>&1 || fail "train exits $?"
"$TOOL" dump "$PREFIX.dlq" >"$TMP/dlq"
[ "$(wc -l <"$TMP/dlq")" = 8 ] || { cat "$TMP/dlq" >&2; fail "8 dead letters expected"; }
for reason in 'oversized' 'no user' 'no item' 'absurd time' 'bad weight'; do
	grep -q "s4rec.reason=$reason" "$TMP/dlq" || { cat "$TMP/dlq" >&2; fail "no dead letter says '$reason'"; }
done
[ "$(grep -c "s4rec.topic=$IN" "$TMP/dlq")" = 8 ] || fail "origins are missing"
grep 'oversized' "$TMP/dlq" | grep -q ' 65536 .*s4rec.truncated=70000' || { cat "$TMP/dlq" >&2; fail "the oversized record is not cut with a note"; }
grep -q 'events=13 ' "$TMP/train.log" || fail "13 events expected"

# a second run adds no dead letter
"$S4REC" train --until end $(small) >"$TMP/again.log" 2>&1 || fail "second run exits $?"
[ "$("$TOOL" dump "$PREFIX.dlq" | wc -l)" = 8 ] || fail "dead letters were written twice"

# forget: sequence and row go, the delete is published, the view stays complete
view "$PREFIX" | grep -q '"key":"user/u1"' || fail "user u1 was not published"
put 0 u1 -
"$S4REC" train --until end $(small) >"$TMP/forget.log" 2>&1 || fail "train after forget exits $?"
if view "$PREFIX" | grep '"key":"user/u1"' | tail -n 1 | grep -q '"vector"'; then fail "user u1 is still there"; fi
grep -qi 'incomplete' "$TMP/view.log" && fail "incomplete after a delete"
"$S4REC" query user u1 >"$TMP/out.log" 2>&1 && fail "a forgotten user has recommendations"

# limits: what does not fit is a dead letter that says so, and the worker goes on
L=${PREFIX}_limits
"$S4REC" topics create -t "$L" >"$TMP/create.log" 2>&1
for i in 1 2 3 4; do "$TOOL" produce "$L.interactions" 0 "u$i" "{\"item_id\":\"i$i\",\"timestamp\":$now}"; done
for i in 1 2 3 4; do "$TOOL" produce "$L.interactions" 0 u1 "{\"item_id\":\"i$i\",\"timestamp\":$now}"; done
"$S4REC" train -t "$L" --until end $(small --max.users 2 --max.items 2) >"$TMP/limits.log" 2>&1 || fail "train at its limits exits $?"
"$TOOL" dump "$L.dlq" >"$TMP/dlq"
[ "$(grep -c 'reason=too many users' "$TMP/dlq") $(grep -c 'reason=too many items' "$TMP/dlq")" = '2 2' ] || { cat "$TMP/dlq" >&2; fail "limits"; }

# nothing but garbage: it stops, and the dead letters that it speaks of are there
G=${PREFIX}_garbage
"$S4REC" topics create -t "$G" >"$TMP/create.log" 2>&1
awk 'BEGIN { for (i = 0; i < 10500; i++) print "!raw garbage " i }' >"$TMP/garbage.jsonl"
"$S4REC" load -t "$G" "$TMP/garbage.jsonl" >"$TMP/load.log" 2>&1 || :
expect_exit 65 "$S4REC" train -t "$G" --until end $(small)
expect_says 'dlq.max.share'
"$TOOL" dump "$G.dlq" >"$TMP/dlq"
[ "$(wc -l <"$TMP/dlq")" -ge 10000 ] || fail "the refused records are not in the dead letter topic: $(wc -l <"$TMP/dlq")"

# input that retention removed is an error that names it
"$TOOL" delete-records "$IN" 0 3
expect_exit 65 "$S4REC" train --until end $(small)
expect_says "input is gone: $IN \[0\]"
echo "ok $NAME"
