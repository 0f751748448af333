#!/bin/sh
# Attributes of items that come and go, and of users, survive kills: rows, state and cuts are those of an undisturbed run.
# shellcheck disable=SC2046,SC2086
. "$(dirname "$0")/lib.sh"
export S4REC_MAP_USER_ATTRIBUTES=type,user_id S4REC_MAP_ITEM_ATTRIBUTES=category S4REC_ATTRIBUTES_BUCKETS=64
attributes="--max.items 60" # of 80, so that rows are freed and get other items

"$S4REC" generate --categories true --events 4000 --users 300 --items 80 --interests 4 >"$TMP/events.jsonl" 2>"$TMP/gen.log"
load "$PREFIX" "$TMP/events.jsonl"
INPUT=$PREFIX.interactions
A=${PREFIX}_a; prefix_new "$A"
"$BUILD/s4rec" $(worker "$A" --until end $attributes) >"$TMP/run.log" 2>&1 || fail "the undisturbed run fails: $(tail -n 3 "$TMP/run.log")"
logged ' expired_items=[1-9]' "$TMP/run.log" || fail "no item went: $(tail -n 1 "$TMP/run.log")"
"$RECORDS" dump "$A" >"$TMP/a.dump"

P=${PREFIX}_p; prefix_new "$P"; follow "$P"
kills=0
for k in $(seq "${KILLS:-5}"); do
	start "$TMP/kill.log" $(worker "$P" --until end $attributes --state.flush.ms 100)
	eventually 60 logged ' train events=\|replaying' "$TMP/kill.log"
	draw 400; sleep "0.$(printf %03d "$drawn")"
	kill -9 "$pid" 2>/dev/null || break # through already
	code=0; wait "$pid" || code=$?
	[ "$code" = 137 ] || break
	kills=$((kills + 1))
done
[ "$kills" -ge 1 ] || fail "no kill came in time"
through "$P" $attributes
stop_following
judge "$TMP/$P.dump" "$P" "$TMP/a.dump" "$A" 7

# they are part of all that: a model that does not look at them has other rows
B=${PREFIX}_b; prefix_new "$B"
S4REC_ATTRIBUTES_BUCKETS=0 "$BUILD/s4rec" $(worker "$B" --until end $attributes) >"$TMP/run.log" 2>&1 || fail "without attributes: $(tail -n 3 "$TMP/run.log")"
"$RECORDS" dump "$B" >"$TMP/b.dump"
sent "$TMP/a.dump" 7 >"$TMP/a.sent"; sent "$TMP/b.dump" 7 | cmp -s - "$TMP/a.sent" && fail "attributes change nothing"
echo "ok $NAME: $kills kills, seed $SEED"
