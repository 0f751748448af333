#!/bin/bash
# beauty.sh DIR - Amazon Beauty through Kafka: `make eval-beauty DATA=DIR`. DIR/beauty_events.tsv.zst has a header with `timestamp`,
# `user`, `item` and 198,502 events sorted by time. Prints the prequential numbers beside popularity's, then how often neighbours in
# the published space share users, beside pairs matched by popularity; fails when that is not ten times as often. About ten minutes on two
# idle cores.
set -euo pipefail
DATA=${1:?usage: beauty.sh DIR (with beauty_events.tsv.zst)}
FILE=$DATA/beauty_events.tsv.zst
[ -r "$FILE" ] || { echo "beauty.sh: $FILE is not there: skipped"; exit 0; }
export S4REC_BOOTSTRAP_SERVERS="$BROKER" S4REC_TOPIC_PREFIX="beauty_$$"
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
trap 'exit 130' INT TERM HUP
"$BUILD/s4rec" topics create 2>"$TMP/log" >/dev/null || { cat "$TMP/log" >&2; exit 1; }
"$BUILD/s4rec" load "$FILE"
"$BUILD/s4rec" train --until end --learning.rate 0.002 --batch.users 64 --rehearse 8 --dropout 0.5 --progress.ms 30000
zstd -dcq "$FILE" >"$TMP/events.tsv"
"$BUILD/tests/neighbours" "$TMP/events.tsv" | tee "$TMP/ratio"
awk '{ if ($NF >= 10) ok = 1 } END { exit !ok }' "$TMP/ratio" || { echo "beauty.sh: neighbours share users less than 10 times as often as controls" >&2; exit 1; }
