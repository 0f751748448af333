#!/bin/sh
# Every kind of bad record costs one dead letter with its reason and origin; forgetting deletes; lost input is refused.
. "$(dirname "$0")/lib.sh"
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
expect 0 train --until end $(small)
says 'events=13 '
dead_letters "$PREFIX" 8
for reason in 'oversized' 'no user' 'no item' 'absurd time' 'bad weight'; do
	grep -q "s4rec.reason=$reason" "$TMP/dlq" || { cat "$TMP/dlq" >&2; fail "no dead letter says '$reason'"; }
done
[ "$(grep -c "s4rec.topic=$IN" "$TMP/dlq")" = 8 ] || fail "origins are missing"
grep 'oversized' "$TMP/dlq" | grep -q ' 65536 .*s4rec.truncated=70000' || { cat "$TMP/dlq" >&2; fail "the oversized record is not cut with a note"; }

# a second run adds no dead letter
expect 0 train --until end $(small)
dead_letters "$PREFIX" 8

# forget: sequence and row go, the delete is published, the view stays complete
view "$PREFIX" | grep -q '"key":"user/u1"' || fail "user u1 was not published"
put 0 u1 -
expect 0 train --until end $(small)
if view "$PREFIX" | grep '"key":"user/u1"' | tail -n 1 | grep -q '"vector"'; then fail "user u1 is still there"; fi
grep -qi 'incomplete' "$TMP/view.log" && fail "incomplete after a delete"
"$S4REC" query user u1 >"$TMP/out.log" 2>&1 && fail "a forgotten user has recommendations"

# limits: what does not fit is a dead letter that says so, and the worker goes on
L=${PREFIX}_limits
"$S4REC" topics create -t "$L" >"$TMP/create.log" 2>&1
for i in 1 2 3 4; do "$TOOL" produce "$L.interactions" 0 "u$i" "{\"item_id\":\"i$i\",\"timestamp\":$now}"; done
for i in 1 2 3 4; do "$TOOL" produce "$L.interactions" 0 u1 "{\"item_id\":\"i$i\",\"timestamp\":$now}"; done
expect 0 train -t "$L" --until end $(small --max.users 2 --max.items 2)
"$TOOL" dump "$L.dlq" >"$TMP/dlq"
[ "$(grep -c 'reason=too many users' "$TMP/dlq") $(grep -c 'reason=too many items' "$TMP/dlq")" = '2 2' ] || { cat "$TMP/dlq" >&2; fail "limits"; }

# a backfill: events of a week ago; all of partition 1 is refused, received long before them or just now, by Kafka's clock. Such a
# record has no event time: by Kafka's it would come last, or hold up its partition. It ends, and every record counts once.
F=${PREFIX}_backfill
"$S4REC" topics create -t "$F" --partitions 3 >"$TMP/create.log" 2>&1
week=$((now - 7 * 86400000)) month=$((now - 29 * 86400000))
awk -v week="$week" -v month="$month" -v now="$now" 'BEGIN { for (i = 0; i < 900; i++) {
		ms = week + i * 1000
		event = sprintf("u%d {\"item_id\":\"i%d\",\"event_id\":\"e%d\",\"timestamp\":%.0f}", i % 50, i % 31, i, ms)
		if (i % 3 == 0) printf "0 %.0f %s\n", ms, event
		else if (i % 3 == 1) printf "1 %.0f u%d no event %d\n", i % 2 ? month + i : now + i, i % 50, i
		else if (i % 9 == 2) printf "2 %.0f u%d no event %d\n", now + i, i % 50, i
		else printf "2 %.0f %s\n", ms, event
	} }' >"$TMP/feed"
"$TOOL" feed "$F.interactions" <"$TMP/feed"
refused=$(grep -c 'no event' "$TMP/feed"); good=$(grep -vc 'no event' "$TMP/feed")
for run in first again; do
	EXPECT_S=60; expect 0 train -t "$F" --until end $(small)
	says "events=$good "; says " dead_letters=$refused"
	dead_letters "$F" "$refused"
done
awk '{ print $1 }' "$TMP/feed" | sort | uniq -c | awk '{ print $2, $1 }' >"$TMP/per_partition"
[ "$(echo $(cat "$TMP/per_partition"))" = '0 300 1 300 2 300' ] || fail "the feed is not what was meant: $(cat "$TMP/per_partition")"
[ "$(grep -c 's4rec.partition=1 ' "$TMP/dlq")" = 300 ] || fail "not all of partition 1 is refused"

# nothing but garbage: it stops, and the dead letters that it speaks of are there
G=${PREFIX}_garbage
"$S4REC" topics create -t "$G" >"$TMP/create.log" 2>&1
awk 'BEGIN { for (i = 0; i < 10500; i++) print "!raw garbage " i }' >"$TMP/garbage.jsonl"
"$S4REC" load -t "$G" "$TMP/garbage.jsonl" >"$TMP/load.log" 2>&1 || :
expect 65 train -t "$G" --until end $(small)
says 'dlq.max.share'
"$TOOL" dump "$G.dlq" >"$TMP/dlq"
[ "$(wc -l <"$TMP/dlq")" -ge 10000 ] || fail "the refused records are not in the dead letter topic: $(wc -l <"$TMP/dlq")"

# input that retention removed before it was trained is an error that names it
for i in 1 2 3; do "$TOOL" produce "$IN" 0 u1 '{"item_id":"never trained"}'; done
"$TOOL" delete-records "$IN" 0 -1
expect 65 train --until end $(small)
says "input is gone: $IN [0]"
echo "ok $NAME"
