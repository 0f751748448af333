#!/bin/sh
# Dead letters go back to the input once: by reason, place and time, whole, repaired, from their origin; killed and two at a time; what is gone is said.
. "$(dirname "$0")/lib.sh"
now=$(date +%s)000
# again PREFIX: how many records of its input are redriven letters, and how many different ones
again() { "$TOOL" dump "$1.interactions" >"$TMP/in.dump"; echo "$(grep -c 's4rec.redriven=' "$TMP/in.dump") $(grep -o 's4rec.redriven=[0-9:]*' "$TMP/in.dump" | sort -u | wc -l)"; }
sent() { says " sent=$1 from_origin=$2 gone=$3 sent_before=$4"; }
topics() { "$S4REC" topics create -t "$1" --partitions 2 >"$TMP/create.log" 2>&1 || fail "cannot create $1"; }

# 1. refused by a limit, which was raised; one that nobody could read, which is repaired; one with headers, which its letter does not hold
A=${PREFIX}_a; topics "$A"
for i in 1 2 3 4 5; do echo "$((i % 2)) 0 u$i {\"item_id\":\"i$i\",\"event_id\":\"e$i\",\"timestamp\":$now}"; done >"$TMP/feed"
printf '0 0 u1 {"item":\n+ce_specversion 1.0\n+ce_type t\n+ce_id 7\n+ce_source s\n+x-trace y\n0 0 u9 {"item_id":"i9"}\n' >>"$TMP/feed"
"$TOOL" feed "$A.interactions" <"$TMP/feed"
expect 0 train -t "$A" --until end $(small --max.users 2)
dead_letters "$A" 5
expect 0 redrive -t "$A" --dry-run
[ "$(wc -l <"$TMP/out.log") $(grep -c 'too many users' "$TMP/out.log") $(grep -c 'from its origin' "$TMP/out.log") $(again "$A")" = '5 4 1 0 0' ] || unexpected "dry run"
place=$(sed -n 's/\(.*\)\twhole\tundecodable$/\1/p' "$TMP/out.log")
expect 0 redrive -t "$A" --dry-run --reason undecodable; sent 1 0 0 0
expect 0 redrive -t "$A" --dry-run --origin "7:1,$place"; sent 1 0 0 0
expect 0 redrive -t "$A" --dry-run --before 1h; sent 0 0 0 0
expect 0 redrive -t "$A" --dry-run --since 1h; sent 5 1 0 0
expect 64 redrive -t "$A" --origin 1-2
expect 64 redrive -t "$A" --since yesterday
printf '%s {"item_id":"i6","user_id":"u1","timestamp":%s}\n0:999 {}\n' "$place" "$now" >"$TMP/repairs"
expect 0 redrive -t "$A" "$TMP/repairs"; sent 1 0 0 0; says '1 values of the file have no dead letter'
expect 0 redrive -t "$A" --reason 'too many'; sent 4 1 0 1
expect 0 redrive -t "$A"; sent 0 0 0 5
[ "$(again "$A")" = '5 5' ] || fail "not each once"
grep 's4rec.redriven=' "$TMP/in.dump" | grep -q '^0 .* u9 .* ce_specversion=1.0 ce_type=t ce_id=7 ce_source=s x-trace=y s4rec.redriven=' || { cat "$TMP/in.dump"; fail "headers are lost"; }
[ "$(awk '/s4rec.redriven/ { print $1, $3 }' "$TMP/in.dump" | sort | tr '\n' ' ')" = '0 u1 0 u9 1 u1 1 u3 1 u5 ' ] || { cat "$TMP/in.dump"; fail "other partitions or keys"; }
expect 0 train -t "$A" --until end $(small)
says ' events=7 '; says ' dead_letters=5 '

# 2. letters without a byte of their records: from the origin, and once that is gone, said
B=${PREFIX}_b; topics "$B"
awk -v now="$now" 'BEGIN { for (i = 0; i < 2500; i++) printf "%d 0 k%d no event, or none that is known\n", i % 2, i }' >"$TMP/feed"
"$TOOL" feed "$B.interactions" <"$TMP/feed"
expect 0 train -t "$B" --until end --dlq.payload off --dlq.max.share 1 $(small)
"$TOOL" delete-records "$B.interactions" 1 1200
# killed anywhere, and two at a time: each letter once
hits=0
for after in 0.04 0.08 0.12 0.16 0.2 0.25; do
	start "$TMP/killed.log" redrive -t "$B" --origin 0:0-1249
	sleep "$after"; kill -KILL "$pid" 2>/dev/null || :
	code=0; wait "$pid" || code=$?
	[ "$code" != 137 ] || hits=$((hits + 1))
done 2>"$TMP/killed.err"
[ "$hits" -ge 1 ] || fail "no kill came in time"
start "$TMP/one.log" redrive -t "$B" --origin 0:0-1249; one=$pid
start "$TMP/two.log" redrive -t "$B" --origin 0:0-1249; two=$pid
code=0; wait "$one" || code=$?; other=0; wait "$two" || other=$?
case $code,$other in 0,0 | 75,0 | 0,75) ;; *) cat "$TMP/one.log" "$TMP/two.log" >&2; fail "two at a time ended with $code and $other" ;; esac
[ "$(again "$B")" = '1250 1250' ] || fail "each of 1250 once: $(again "$B")"
expect 65 redrive -t "$B"
sent 50 50 1200 1250; says 'no longer in'
[ "$(grep -c '	gone	' "$TMP/out.log") $(again "$B")" = '1200 1300 1300' ] || fail "what is gone is not told"
echo "ok $NAME"
