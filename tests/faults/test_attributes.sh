#!/bin/sh
# Attributes of items that come and go, and of users, survive kills: rows, state and cuts are those of an undisturbed run.
# shellcheck disable=SC2046,SC2086
. "$(dirname "$0")/lib.sh"
export S4REC_MAP_USER_ATTRIBUTES=type,user_id S4REC_MAP_ITEM_ATTRIBUTES=category S4REC_ATTRIBUTES_BUCKETS=64
attributes="--max.items 60" # of 80, so that rows are freed and get other items

"$S4REC" generate --categories true --events 4000 --users 300 --items 80 --interests 4 >"$TMP/events.jsonl" 2>"$TMP/gen.log"
load "$PREFIX" "$TMP/events.jsonl"
INPUT=$PREFIX.interactions
A=${PREFIX}_a
undisturbed "$A" "$TMP/a.dump" $attributes
logged ' expired_items=[1-9]' "$TMP/undisturbed.log" || fail "no item went: $(tail -n 1 "$TMP/undisturbed.log")"

P=${PREFIX}_p; prefix_new "$P"; follow "$P"
killed "${KILLS:-5}" 1 400 $attributes
stop_following
judge "$TMP/$P.dump" "$P" "$TMP/a.dump" "$A" 7

# they are part of all that: a model that does not look at them has other rows
export S4REC_ATTRIBUTES_BUCKETS=0
undisturbed "${PREFIX}_b" "$TMP/b.dump" $attributes
sent "$TMP/a.dump" 7 >"$TMP/a.sent"; sent "$TMP/b.dump" 7 | cmp -s - "$TMP/a.sent" && fail "attributes change nothing"
echo "ok $NAME: $kills kills, seed $SEED"
