#!/bin/sh
# kill -9 at random moments: KILLS of them (6), SEED repeats a run. Then again with all that an answer to drift, rehearsal by loss and age, and users' attributes
# keep: an input whose laws change, and a run over it that nobody disturbs.
. "$(dirname "$0")/lib.sh"

P=${PREFIX}_p; prefix_new "$P"; follow "$P"
killed "${KILLS:-6}" 3 600
as_if_nothing_happened "$P"
first=$kills

options="--batch.users 8 --commit.steps 32 --learning.rate 0.01 --rehearse.draw loss --rehearse.half.life.ms 600000 --drift.response rehearse --drift.steps 64 --attributes.buckets 64"
export S4REC_MAP_USER_ATTRIBUTES=item_id,type # of load, too
INPUT=${PREFIX}.interactions
for part in 0 1; do
	"$S4REC" generate --seed "$part" --events 3000 --skip $((3000 * part)) --users 300 --items 80 --interests 4 --malformed 0.01 2>"$TMP/gen.log"
done >"$TMP/events.jsonl"
load "$PREFIX" "$TMP/events.jsonl"
U=${PREFIX}_u P=${PREFIX}_q
# shellcheck disable=SC2086
undisturbed "$U" "$TMP/u.dump" $options
logged ' drifts=[1-9]' "$TMP/undisturbed.log" || fail "no drift was found"
prefix_new "$P"; follow "$P"
# shellcheck disable=SC2086
killed 2 1 600 $options
stop_following
judge "$TMP/$P.dump" "$P" "$TMP/u.dump" "$U" 7
echo "ok $NAME: $first and $kills kills, seed $SEED"
