#!/bin/sh
# Attributes of items: through load and as JSON, refused where they are no words, not looked at without attributes.buckets, kept over a stop and in files.
. "$(dirname "$0")/lib.sh"

"$S4REC" generate --categories true --events 3000 --users 300 --items 80 --interests 4 --malformed 0 >"$TMP/events.jsonl" 2>"$TMP/gen.log"
export S4REC_MAP_ITEM_ATTRIBUTES=category
fold=$(small | sed 's/--commit.steps [0-9]* //')
A=${PREFIX}_a; load "$A" "$TMP/events.jsonl"

# 1. records that say them, not looked at: the rows of a topic without them
N=${PREFIX}_n; S4REC_MAP_ITEM_ATTRIBUTES='' load "$N" "$TMP/events.jsonl"
expect 0 train -t "$N" --until end $(small)
view "$N" >"$TMP/n.view"
O=${PREFIX}_o; "$S4REC" topics create -t "$O" --input.topic "$A.interactions" >"$TMP/create.log" 2>&1
expect 0 train -t "$O" --input.topic "$A.interactions" --until end $(small)
same_view "$TMP/n.view" "$O" "not looked at"

# 2. looked at: other rows; again with one stop amid it: the same; and the audit agrees
export S4REC_ATTRIBUTES_BUCKETS=64
expect 0 train -t "$A" --until end $(small)
view "$A" >"$TMP/a.view"
cmp -s "$TMP/n.view" "$TMP/a.view" && fail "attributes change nothing"
S=${PREFIX}_s; "$S4REC" topics create -t "$S" --input.topic "$A.interactions" >"$TMP/create.log" 2>&1
start "$TMP/stopped.log" train -t "$S" --input.topic "$A.interactions" --until end --progress.ms 100 $(small)
eventually 60 logged ' train events=' "$TMP/stopped.log"
kill -TERM "$pid" 2>/dev/null || :; ends "$pid" 0
expect 0 train -t "$S" --input.topic "$A.interactions" --until end $(small)
same_view "$TMP/a.view" "$S" "after a stop"
expect 0 verify -t "$S" --input.topic "$A.interactions" $fold
prints "equal: $S"

# 3. a file has what items have: imported and exported again it is the same
expect 0 export "$TMP/a.model" -t "$A" $fold
I=${PREFIX}_i; "$S4REC" topics create -t "$I" >"$TMP/create.log" 2>&1
expect 0 import "$TMP/a.model" -t "$I" $fold
expect 0 export "$TMP/i.model" -t "$I" $fold
cmp "$TMP/a.model" "$TMP/i.model" || fail "import and export: the files differ"

# 4. JSON as it comes: what is no word is refused
J=${PREFIX}_j; "$S4REC" topics create -t "$J" --partitions 1 >"$TMP/create.log" 2>&1
# say CATEGORY: an event of u1 whose category is that
say() { "$TOOL" produce "$J.interactions" 0 u1 "{\"item_id\":\"i1\",\"timestamp\":$(date +%s)000,\"category\":$1}"; }
say '"shoes"'; say 7; say null; say '["shoes"]'; say 1.5; say "\"$(printf %0300d 1)\""
expect 0 train -t "$J" --until end $(small)
says ' events=3 '
dead_letters "$J" 3
[ "$(grep -c 's4rec.reason=undecodable' "$TMP/dlq") $(grep -c 's4rec.reason=oversized' "$TMP/dlq")" = '2 1' ] || { cat "$TMP/dlq" >&2; fail "the dead letters do not say why"; }
echo "ok $NAME"
