#!/bin/bash
# From kill -9 of the trainer to the next version that a reader sees, events coming in all the time: with a standby that takes over, and alone,
# started again at once. Goal: under 3 s beyond the detection (election.timeout.ms) and the restore, i.e. behind "replay done". KILLS of each kind (50: as
# goals are told), TIMEOUT_MS of the election, RATE of events.
set -euo pipefail
export S4REC_BOOTSTRAP_SERVERS="$BROKER" S4REC_TOPIC_PREFIX="bench_failover_$$"
S4REC=$BUILD/s4rec KILLS=${KILLS:-10} TIMEOUT_MS=${TIMEOUT_MS:-6000} RATE=${RATE:-200}
TMP=$(mktemp -d)
trap 'jobs -p >"$TMP/jobs"; while read -r p; do kill -9 "$p" 2>/dev/null || :; done <"$TMP/jobs"; rm -rf "$TMP"' EXIT
trap 'exit 130' INT TERM HUP
"$S4REC" topics create >/dev/null 2>&1
"$S4REC" generate --events 5000 2>/dev/null | "$S4REC" load - 2>/dev/null
"$S4REC" generate --skip 5000 --events 100000000 --rate "$RATE" 2>/dev/null | "$S4REC" load - >/dev/null 2>&1 &
"$S4REC" read --vectors 0 2>/dev/null | grep --line-buffered '^{"key":"model",' >"$TMP/follow" &

now() { date +%s%3N; }
newest() { tail -n 4 "$TMP/follow" | sed -n 's/.*"version":\([0-9]*\),.*/\1/p' | sort -n | tail -n 1; } # of four partitions
until_log() { # PATTERN LOG
	left=6000
	until grep -q "$1" "$2"; do left=$((left - 1)); [ "$left" -gt 0 ] || { echo "in vain: $1" >&2; tail -n 5 "$2" >&2; exit 1; }; sleep 0.02; done
}
worker() { # LOG
	: >"$1"
	"$S4REC" train --election.timeout.ms "$TIMEOUT_MS" --state.flush.ms 2000 --progress.ms 200 >"$1" 2>&1 & pid=$!
}
logged_ms() { date -d "$(sed -n "s/ info $1 .*//p" "$2" | tail -n 1)" +%s%3N; }
# fell LOG KIND: since the kill at $killed_ms, until the first version is seen that is not the killed worker's; LOG is of the one that goes on
fell() {
	until_log ' info leading ' "$1"
	before=$(newest) # what the killed one has committed is visible by now
	left=6000
	until [ "$(newest)" -gt "$before" ]; do left=$((left - 1)); [ "$left" -gt 0 ] || { echo "no new version" >&2; tail -n 5 "$1" >&2; exit 1; }; sleep 0.01; done
	seen_ms=$(now)
	led_ms=$(logged_ms leading "$1")
	echo "$((seen_ms - killed_ms)) $((led_ms - killed_ms)) $(($(logged_ms 'replay done:' "$1") - led_ms))" >>"$TMP/$2"
}
percentiles() {
	sort -n "$TMP/$1" | awk -v what="$2" '{ all[NR] = $1; wait[NR] = $2; fold[NR] = $3; rest[NR] = $1 - $2 - $3 }
		function at(a, q, i, j, t, n) { n = NR; for (i = 1; i <= n; i++) b[i] = a[i]; for (i = 2; i <= n; i++) for (j = i; j > 1 && b[j] < b[j-1]; j--) { t = b[j]; b[j] = b[j-1]; b[j-1] = t }
			i = int(n * q) + 1; return b[i > n ? n : i] }
		END { printf "failover %s kills=%d kill_to_version_ms p50=%d p99=%d; until it leads p50=%d p99=%d; restore and replay p50=%d p99=%d; from there p50=%d p99=%d\n", what, NR,
			at(all, .5), at(all, .99), at(wait, .5), at(wait, .99), at(fold, .5), at(fold, .99), at(rest, .5), at(rest, .99) }'
}

worker "$TMP/log.0"; until_log ' lag=[0-9][0-9]\{0,2\} ' "$TMP/log.0"; leader=$pid
until_log version "$TMP/follow"
i=0
while [ "$i" -lt "$KILLS" ]; do
	i=$((i + 1))
	until_log 'state flushed' "$TMP/log.$((i - 1))" # else the replay grows with each kill
	sleep "0.$((i * 37 % 100))"
	kill -9 "$leader"; wait "$leader" 2>/dev/null || :
	killed_ms=$(now)
	worker "$TMP/log.$i"; leader=$pid
	fell "$TMP/log.$i" alone
done
percentiles alone "alone, started again at once"

sleep "$((2 * TIMEOUT_MS / 1000))" # the members that were killed above are out of the group
last=$i
while [ "$i" -lt "$((last + KILLS))" ]; do
	i=$((i + 1))
	worker "$TMP/log.$i"; standby=$pid
	until_log 'standing by' "$TMP/log.$i"
	until_log 'state flushed' "$TMP/log.$((i - 1))" # else the replay grows with each kill
	sleep "0.$((i * 37 % 100))"
	kill -9 "$leader"; killed_ms=$(now); wait "$leader" 2>/dev/null || :
	fell "$TMP/log.$i" standby
	leader=$standby
done
percentiles standby "standby, election.timeout.ms=$TIMEOUT_MS"
