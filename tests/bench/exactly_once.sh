#!/bin/bash
# What exactly once costs: the same stream, live, with s4rec and with a twin that has a plain producer in place of the transactional one
# (exactly_once/at_least_once.c), in turn, ROUNDS times (3). Goal: at most 5 % at commit.ms=500. Then how fast a start folds again
# what was learned since the last flush, against the live rate. EVENTS (60000).
set -euo pipefail
export S4REC_BOOTSTRAP_SERVERS="$BROKER"
EVENTS=${EVENTS:-60000} ROUNDS=${ROUNDS:-3}
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
trap 'exit 130' INT TERM HUP
make -s "$BUILD/tests/s4rec_at_least_once"
input=bench_once_$$.interactions
"$BUILD/s4rec" topics create -t "bench_once_$$" >/dev/null 2>&1
"$BUILD/s4rec" generate --events "$EVENTS" --users 20000 --items 5000 2>"$TMP/generate" | "$BUILD/s4rec" load -t "bench_once_$$" - 2>"$TMP/load" ||
	{ cat "$TMP/generate" "$TMP/load" >&2; exit 1; }

# run PROGRAM PREFIX: events/s, from its last line
run() {
	"$BUILD/s4rec" topics create -t "$2" --input.topic "$input" >/dev/null 2>&1
	"$1" train -t "$2" --input.topic "$input" --until end --cut live --commit.ms 500 --state.flush.ms 86400000 >"$TMP/run.log" 2>&1 ||
		{ tail -n 3 "$TMP/run.log" >&2; exit 1; }
	sed -n 's/.* train events=.* rate=\([0-9]*\).*/\1/p' "$TMP/run.log" | tail -n 1
}
commits() { sed -n 's/.* commits=\([0-9]*\) commit_p50_ms=\([0-9.]*\).*/(\1 commits, p50 \2 ms)/p' "$TMP/run.log"; }
once() { once=$(run "$BUILD/s4rec" "bench_once_$$_$i"); of_once=$(commits); }
plain() { plain=$(run "$BUILD/tests/s4rec_at_least_once" "bench_plain_$$_$i"); of_plain=$(commits); }
for i in $(seq "$ROUNDS"); do
	if [ $((i % 2)) = 1 ]; then once; plain; else plain; once; fi
	echo "$once $plain"
	echo "round $i: exactly_once=$once/s $of_once at_least_once=$plain/s $of_plain" >&2
done >"$TMP/rates"
awk '{ once += $1; plain += $2; r = $1 / $2; if (!lo || r < lo) lo = r; if (r > hi) hi = r }
	END { printf "exactly_once events/s=%.0f at_least_once=%.0f ratio=%.3f (rounds %.3f to %.3f)\n", once / NR, plain / NR, once / plain, lo, hi }' "$TMP/rates"

# killed before it ever flushed: the next start folds all that was committed
P=bench_replay_$$
"$BUILD/s4rec" topics create -t "$P" --input.topic "$input" >/dev/null 2>&1
worker() { exec "$BUILD/s4rec" train -t "$P" --input.topic "$input" --until end --cut live --state.flush.ms 86400000 --progress.ms 200; }
worker >"$TMP/live.log" 2>&1 & pid=$!
until grep -q " train events=[0-9]* .* lag=[0-9]\{1,4\} " "$TMP/live.log"; do kill -0 "$pid"; sleep 0.1; done
kill -9 "$pid"; wait "$pid" 2>/dev/null || :
(worker) >"$TMP/replay.log" 2>&1
ms() { date -d "$(sed -n "s/ info $1.*//p" "$2" | head -n 1)" +%s%3N; }
live=$(sed -n 's/.* train events=.* rate=\([0-9]*\).*/\1/p' "$TMP/live.log" | awk '{ sum += $1 } END { print sum / NR }') # of every 200 ms
again=$(sed -n 's/.* replay done: .* events=\([0-9]*\).*/\1/p' "$TMP/replay.log")
awk -v live="$live" -v n="$again" -v ms="$(($(ms 'replay done' "$TMP/replay.log") - $(ms 'replaying the committed' "$TMP/replay.log")))" \
	'BEGIN { printf "replay events/s=%.0f live=%.0f ratio=%.2f (%d events folded again)\n", n / ms * 1000, live, n / ms * 1000 / live, n }'
