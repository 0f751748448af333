#!/bin/sh
# kill -9 at random moments: KILLS of them (6), SEED repeats a run.
. "$(dirname "$0")/lib.sh"

P=${PREFIX}_p; prefix_new "$P"; follow "$P"
kills=0
for k in $(seq "${KILLS:-6}"); do
	# shellcheck disable=SC2046
	start "$TMP/kill.log" $(worker "$P" --until end --state.flush.ms 100)
	[ $((k % 3)) = 0 ] || eventually 60 logged ' train events=\|replaying' "$TMP/kill.log" # else anywhere, in the start too
	draw 600; sleep "0.$(printf %03d "$drawn")"
	kill -9 "$pid" 2>/dev/null || break # through already
	code=0; wait "$pid" || code=$?
	[ "$code" = 137 ] || break
	kills=$((kills + 1))
done
[ "$kills" -ge 3 ] || fail "only $kills kills came in time"
through "$P"
as_if_nothing_happened "$P"
echo "ok $NAME: $kills kills, seed $SEED"
