#!/bin/sh
# The other losses survive kills as the full one does (test_restart.sh): their negatives are drawn by what the log says, too.
# not with sanitizers: test_restart.sh kills the same code
. "$(dirname "$0")/lib.sh"

stream "$TMP/events.jsonl" 2000
for loss in sampled bce; do
	U=${PREFIX}_${loss}_u; load "$U" "$TMP/events.jsonl"
	K=${PREFIX}_${loss}_k; load "$K" "$TMP/events.jsonl"
	options="--loss $loss --negatives 8 --negatives.recent 500"
	# shellcheck disable=SC2086
	expect 0 train -t "$U" --until end $(small $options)
	says "events=$good "
	view "$U" >"$TMP/$loss.view"
	# shellcheck disable=SC2086
	again "$K" KILL 3 $options
	same_view "$TMP/$loss.view" "$K" "loss $loss, after $hits kills"
done
! cmp -s "$TMP/sampled.view" "$TMP/bce.view" || fail "the loss changes nothing"
echo "ok $NAME"
