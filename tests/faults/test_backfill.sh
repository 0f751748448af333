#!/bin/sh
# The process ends at every named place of a backfill, one after the other: a model that is hidden until it has caught up, with passes over its users. And
# one whose publishing is held when it has caught up.
# shellcheck disable=SC2046,SC2086
. "$(dirname "$0")/lib.sh"
backfill="--until end --from beginning --epochs 3 --epochs.gain 0.000000001"

A=${PREFIX}_a
prefix_new "$A"
"$S4REC" $(worker "$A" $backfill) >"$TMP/run.log" 2>&1 || fail "the undisturbed run fails: $(tail -n 3 "$TMP/run.log")"
logged 'pass 2 over' "$TMP/run.log" || fail "there are no passes"
"$RECORDS" dump "$A" >"$TMP/a.dump"

points=$(grep -rhoE 'crash_point\("backfill[^"]+"' worker --include='*.c' | cut -d'"' -f2)
for flush in 50 3600000; do
	P=${PREFIX}_$flush
	prefix_new "$P"
	for point in chosen founded in_pass:3 pass_done caught_up released; do
		crashes "backfill.$point" $(worker "$P" $backfill --state.flush.ms "$flush")
		points=$(echo "$points" | grep -v "^backfill.${point%:*}$" || :)
	done
	"$S4REC" $(worker "$P" $backfill) >"$TMP/last.log" 2>&1 || fail "the last start fails: $(tail -n 3 "$TMP/last.log")"
	"$RECORDS" dump "$P" >"$TMP/p.dump"
	judge "$TMP/p.dump" "$P" "$TMP/a.dump" "$A" 7
done
[ -z "$points" ] || fail "no run ends at: $points"

# A batch of a pass that ends start after start is passed by, and a replay passes it, too: one that was killed behind it ends as one that was not.
dies_in_pass() { nth=$1; shift; crashes "backfill.in_pass:$nth" $(worker "$P" $backfill --state.flush.ms 3600000 "$@"); } # dies_in_pass NTH OPTIONS...
for P in ${PREFIX}_skip ${PREFIX}_skip_killed; do
	prefix_new "$P"
	expect 0 $(worker "$P" $backfill --epochs 0)
	dies_in_pass 1
	expect 65 $(worker "$P" $backfill --attempts.max 1)
	step=$(sed -n 's/.*--skip.batch \([0-9]*\).*/\1/p' "$TMP/err.log")
	[ "$P" = "${PREFIX}_skip" ] || dies_in_pass 10 --skip.batch "$step"
	expect 0 $(worker "$P" $backfill --skip.batch "$step")
	grep -q "step=$step skipped: pass 1 leaves its users out" "$TMP/crash.log" "$TMP/err.log" || fail "step $step was not skipped"
	"$RECORDS" dump "$P" >"$TMP/$P.dump"
done
says "step $step is behind already"; says 'replaying'
judge "$TMP/${PREFIX}_skip.dump" "${PREFIX}_skip" "$TMP/$P.dump" "$P" 7

# The guard holds publishing when the model has caught up, and to the end: rows stay due, and no start has a version of its own for that.
"$S4REC" generate --events 1700 --users 300 --items 80 --interests 4 --malformed 0 --duplicates 0 --late 0 2>"$TMP/gen.log" | awk 'BEGIN { srand(7) }
	NR > 1500 { sub(/"item_id":"i[0-9]+"/, "\"item_id\":\"i" int(80 * rand() * rand() * rand()) "\"") } { print }' >"$TMP/held.jsonl"
INPUT=$PREFIX.interactions held="--until end --from beginning --eval.window 100 --guard.hold 50"
load "$PREFIX" "$TMP/held.jsonl"
A=${PREFIX}_held P=${PREFIX}_held_p
prefix_new "$A"; prefix_new "$P"
expect 0 $(worker "$A" $held)
says 'are due when publishing goes on'
expect 69 promote default -t "$A"
says 'and it has no row yet'
"$RECORDS" dump "$A" >"$TMP/a.dump"
crashes backfill.released $(worker "$P" $held)
for start in 1 2; do expect 0 $(worker "$P" $held); done
"$RECORDS" dump "$P" >"$TMP/p.dump"
judge "$TMP/p.dump" "$P" "$TMP/a.dump" "$A" 7
echo "ok $NAME"
