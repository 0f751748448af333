#!/bin/sh
# A flush of 200,000 and of 1,000,000 item rows, and the way back. Goals: training never waits 100 ms at a time for a flush; a restore reads
# at 70 % or more of what a plain consumer does on the same topic.
set -eu
export S4REC_BOOTSTRAP_SERVERS="$BROKER"
for rows in ${ROWS:-200000 1000000}; do
	export S4REC_TOPIC_PREFIX="bench_state_${rows}_$$"
	"$BUILD/s4rec" topics create >/dev/null 2>&1
	"$BUILD/tests/state" "$rows" --loss bce --negatives 1 --max.items 2000000
done
