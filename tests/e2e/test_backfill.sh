#!/bin/sh
# --from, --until, --epochs: a backlog, passes over the user store, then live; a second model beside the first, hidden until it has caught up;
# killed anywhere; the pointer that leads readers over.
# not with sanitizers: long
# shellcheck disable=SC2046,SC2086
. "$(dirname "$0")/lib.sh"

stream "$TMP/all.jsonl" 6000
split -n l/3 "$TMP/all.jsonl" "$TMP/part."
A=$PREFIX
load "$A" "$TMP/part.aa"
sleep 1.1; between=$(date -u +%Y-%m-%dT%H:%M:%SZ); sleep 0.2
"$S4REC" load "$TMP/part.ab" >"$TMP/load.log" 2>&1
records() { sed -n "s/^all  *\([0-9]*\) .*/\1/p" "$TMP/out.log"; }
n=$(cat "$TMP/part.aa" "$TMP/part.ab" | wc -l); n1=$(wc -l <"$TMP/part.aa"); n2=$(wc -l <"$TMP/part.ab")

# 1. what would be read, by each way to say it; nothing is written, nobody disturbed
expect 0 train --dry-run $(small); [ "$(records)" = "$n" ] || unexpected "beginning: $(records) of $n"
expect 0 train --dry-run --from "$between" $(small); [ "$(records)" = "$n2" ] || unexpected "time: $(records) of $n2"
expect 0 train --dry-run --until "$between" $(small); [ "$(records)" = "$n1" ] || unexpected "until time: $(records) of $n1"
expect 0 train --dry-run --from 7d $(small); [ "$(records)" = "$n" ] || unexpected "7d: $(records) of $n"
expect 0 train --dry-run --from 0ms $(small); [ "$(records)" -ge 1 ] && [ "$(records)" -lt "$n2" ] || unexpected "0ms: $(records)"
expect 0 train --dry-run --from 0:5,1:7 --until 0:15,1:7,2:0,3:0 $(small); [ "$(records)" = 10 ] || unexpected "offsets: $(records) of 10"
prints '0                     5            15            10'
expect 65 train --dry-run --from committed $(small); says "group $A has committed nothing"
expect 64 train --from yesterday $(small); says 'from=yesterday is no place in the input'
expect 64 train --until 0:1,x $(small); says 'until=0:1,x is no place'
[ -z "$("$TOOL" dump "$A.batches")" ] || fail "a dry run wrote cuts"

# 2. up to a place, and on from there: the same rows as at once
expect 0 train --until "$between" $(small)
expect 0 train --dry-run $(small); prints 'from the last committed cut'; [ "$(records)" = "$n2" ] || unexpected "behind the cut: $(records) of $n2"
expect 0 train --dry-run --from committed --model.id other $(small --partitions 4) || :
expect 0 train --until end $(small)
B=${PREFIX}_b
"$S4REC" topics create -t "$B" --input.topic "$A.interactions" >"$TMP/create.log" 2>&1
