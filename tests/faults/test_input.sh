#!/bin/sh
# Input as nobody would want it: written in transactions of which some were aborted; in each batch of three the first and the last record
# malformed; events out of order, twice, and from the future. The process is killed amid it. Then input that is gone before it was trained.
. "$(dirname "$0")/lib.sh"

INPUT=$PREFIX.odd
"$TOOL" create-topic "$INPUT" 1 cleanup.policy=delete
awk 'BEGIN {
	for (i = 0; i < 600; i++) {
		t = 1767225600000 + i * 1000
		if (i % 3 != 1) { print "0 u" i % 40 " broken" (i % 2 ? "" : "{"); continue }
		if (i % 15 == 1) t -= 86400000        # late
		if (i % 15 == 4) t = 4102444800000    # in the year 2100: refused
		line = "0 u" (i * 7) % 40 " {\"item_id\":\"i" (i * i) % 30 "\",\"event_time_ms\":" sprintf("%.0f", t) ",\"event_id\":\"e" i "\"}"
		if (i % 15 == 10) line = before       # twice
		print before = line
	} }' >"$TMP/odd.txt"
"$RECORDS" fill "$INPUT" "$PREFIX.owner" 7 <"$TMP/odd.txt"
malformed=$(grep -c broken "$TMP/odd.txt") future=$(grep -c 4102444800000 "$TMP/odd.txt") twice=$((600 / 15))
odd="--batch.events 3 --commit.steps 10 --dlq.max.share 1"

# shellcheck disable=SC2086
undisturbed_odd() { "$BUILD/s4rec" $(worker "$1" --until end $odd) >"$TMP/odd.log" 2>&1 || fail "exit $?: $(tail -n 3 "$TMP/odd.log")"; }
A=${PREFIX}_a; prefix_new "$A"; undisturbed_odd "$A"
"$RECORDS" dump "$A" >"$TMP/a.dump"
logged " train events=$((600 - malformed - future - twice)) .* dead_letters=$((malformed + future)) .* duplicates=$twice " "$TMP/odd.log" || fail "$malformed malformed, $future future, $twice twice: $(tail -n 2 "$TMP/odd.log")"
[ "$(cuts "$TMP/a.dump" 7 | wc -l)" -ge 1 ] || fail "no cuts"

B=${PREFIX}_b; prefix_new "$B"; follow "$B"
for point in commit.before_end:3 txn.ended:4 flush.after_end commit.before_offsets:6 replay.after_cut; do
	# shellcheck disable=SC2046,SC2086
	CRASH_POINT=$point "$S4REC" $(worker "$B" --until end $odd) >"$TMP/odd.log" 2>&1 && fail "$point: it did not end" || :
done
# shellcheck disable=SC2086
through "$B" $odd
stop_following
judge "$TMP/$B.dump" "$B" "$TMP/a.dump" "$A" 7

# a duration is one before the newest record that counts, however many aborted ones stand behind it
"$RECORDS" open "$INPUT" "$PREFIX.owner" 200 >"$TMP/open.log" & pid=$!
eventually 30 logged open "$TMP/open.log"
kill -TERM "$pid"; ends "$pid" 0
D=${PREFIX}_d; prefix_new "$D"
# shellcheck disable=SC2046
expect 0 $(worker "$D" --dry-run --from 0s)
[ "$(awk '$1 == "all" { print ($2 < 300) }' "$TMP/out.log")" = 1 ] || fail "from 0s before the newest record there are $(awk '$1 == "all" { print $2 }' "$TMP/out.log")"

# input removed below the manifest is not needed; above it, it is an error that names it, and nothing is written
INPUT=$PREFIX.short
"$TOOL" create-topic "$INPUT" 1 cleanup.policy=delete
"$RECORDS" fill "$INPUT" "$PREFIX.owner" 7 <"$TMP/odd.txt"
C=${PREFIX}_c; prefix_new "$C"
# shellcheck disable=SC2046,SC2086
CRASH_POINT=commit.after_end:6 "$S4REC" $(worker "$C" --until end $odd --state.flush.ms 3600000) >"$TMP/c.log" 2>&1 && fail "it did not end" || :
"$RECORDS" dump "$C" >"$TMP/before.dump"
"$TOOL" delete-records "$INPUT" 0 100
# shellcheck disable=SC2046,SC2086
expect 65 $(worker "$C" --until end $odd)
says "$INPUT [0]"
"$RECORDS" dump "$C" >"$TMP/after.dump"
cut -d' ' -f2- "$TMP/before.dump" | LC_ALL=C sort >"$TMP/before"; cut -d' ' -f2- "$TMP/after.dump" | LC_ALL=C sort | cmp -s - "$TMP/before" || fail "a start over a gap wrote something"
echo "ok $NAME: $malformed malformed, $future future, aborted input"
