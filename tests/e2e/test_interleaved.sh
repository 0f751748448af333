#!/bin/sh
# A live worker meets the records of its partitions in the order of their arrival, a replay in that of their times: the same batch, full of users
# in the one, must not look too full in the other.
. "$(dirname "$0")/lib.sh"

A=${PREFIX}_a
"$S4REC" topics create -t "$A" >"$TMP/create.log" 2>&1
# events PARTITION SECOND USER...: one event of each of these users, a second after another, for `feed`
events() {
	partition=$1 second=$2; shift 2
	for user in "$@"; do
		echo "$partition $(date +%s%3N) $user {\"user_id\":\"$user\",\"item_id\":\"i$((second % 7))\",\"timestamp\":\"2026-01-01T00:00:$((second + 10))Z\"}"
		second=$((second + 1))
	done
}
live() { start "$1" train -t "$A" --linger.ms 600000 --commit.ms 1 --state.flush.ms "$2" --progress.ms 100 $(small --batch.users 8); }
# full BASE: eight users, with the ninth event the batch is full; by time it would have been with the eighth
full() {
	events 0 20 "$1a" "$1b" "$1c" "$1d" "$1e" "$1a" | "$TOOL" feed "$A.interactions"
	sleep 1 # they are in the batch before the others come
	events 1 5 "$1f" "$1g" "$1h" | "$TOOL" feed "$A.interactions"
}
n=0
for flush in 3600000 0; do # the batch is folded again, or is that of the state
	live "$TMP/live.log" "$flush"
	eventually 20 logged ' train events=' "$TMP/live.log"
	n=$((n + 1))
	full "$n"
	eventually 20 logged " lag=0 step=$n " "$TMP/live.log"
	[ "$flush" != 0 ] || eventually 20 logged 'state flushed' "$TMP/live.log"
	sleep 0.5
	kill -KILL "$pid"; ends "$pid" 137
done
expect 0 train -t "$A" --until end $(small --batch.users 8)
says " events=18 "
echo "ok $NAME"
