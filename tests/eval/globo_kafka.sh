#!/bin/sh
# globo_kafka.sh DIR - a whole click stream through Kafka, learned exactly once: how long it takes, and how much memory. `make eval-globo-kafka DATA=DIR`. DIR
# holds globo_clicks_by_time.csv.zst, which is not part of this repository: three million clicks (user_id, click_article_id, click_timestamp and more,
# with a header) in the order of time. `load`, then `train --until end` with a tenth of the events ranked and no rehearsal, its resident memory read each
# second. Fails above LIMIT_S, above LIMIT_MB, or when memory grows by more than GROWTH % over the second half: what is new in it, users above all, takes
# its room (model/README.md), nothing else may. Needs a broker: BROKER=host:port.
#
#     LIMIT_S=720 LIMIT_MB=1500 GROWTH=10
#     EVENTS=0        only the first so many clicks; 0 = all
#     further options after DIR go to train, e.g. --rehearse 1
set -eu
DIR=${1:?usage: globo_kafka.sh DIR [OPTION ...] (DIR with globo_clicks_by_time.csv.zst)}
shift
FILE=$DIR/globo_clicks_by_time.csv.zst
: "${LIMIT_S:=720}" "${LIMIT_MB:=1500}" "${GROWTH:=10}" "${EVENTS:=0}"
[ -r "$FILE" ] || { echo "globo_kafka.sh: $FILE is not there: skipped"; exit 0; }
S4REC=$BUILD/s4rec
export S4REC_BOOTSTRAP_SERVERS="$BROKER" S4REC_TOPIC_PREFIX="globo_$$"
TMP=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || :; rm -rf "$TMP"' EXIT
trap 'exit 130' INT TERM HUP

"$S4REC" topics create >/dev/null 2>"$TMP/log" || { cat "$TMP/log" >&2; exit 1; }
if [ "$EVENTS" = 0 ]; then
	"$S4REC" load "$FILE"
else
	zstd -dcq "$FILE" 2>/dev/null | head -n $((EVENTS + 1)) >"$TMP/clicks.csv"
	"$S4REC" load "$TMP/clicks.csv"
fi
began=$(date +%s%3N)
"$S4REC" train --until end --rehearse 0 --eval.sample 0.1 --progress.ms 30000 "$@" 2>"$TMP/train" &
pid=$!
# one that has ended has no memory
while rss=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status" 2>/dev/null) && [ -n "$rss" ]; do
	echo "$rss" >>"$TMP/rss"
	sleep 1
done
code=0
wait "$pid" || code=$?
pid=
ms=$(($(date +%s%3N) - began))
grep -v ' info drift ' "$TMP/train" | tail -n 4
[ "$code" = 0 ] || { echo "globo_kafka.sh: train exits $code" >&2; exit 1; }
awk -v ms="$ms" -v limit_s="$LIMIT_S" -v limit_mb="$LIMIT_MB" -v growth="$GROWTH" '
	FILENAME == ARGV[1] { if (match($0, / events=[0-9]+/)) events = substr($0, RSTART + 8, RLENGTH - 8); next }
	{ rss[++n] = $1 / 1024; if (rss[n] > peak) peak = rss[n] }
	END {
		if (!n || !events) { print "globo_kafka.sh: nothing was measured"; exit 1 }
		half = rss[int((n + 1) / 2)]
		printf "globo through kafka: events=%d minutes=%.2f events_per_s=%.0f peak_rss_mb=%.0f rss_half_mb=%.0f rss_end_mb=%.0f\n", events, ms / 60000, 1000 * events / ms, peak, half, rss[n]
		if (ms > 1000 * limit_s) { print "globo_kafka.sh: took more than " limit_s " s"; bad = 1 }
		if (peak > limit_mb) { print "globo_kafka.sh: more than " limit_mb " MB"; bad = 1 }
		if (rss[n] > half * (1 + growth / 100)) { print "globo_kafka.sh: memory grew by more than " growth " % over the second half"; bad = 1 }
		exit bad
	}' "$TMP/train" "$TMP/rss"
