#!/bin/sh
# not with sanitizers: it measures time
# A broker that does not answer (stopped by its process id): shorter than a transaction may last, the worker just goes on; longer, the process
# ends with 75 in bounded time, whatever it is waiting for, and nothing is lost.
. "$(dirname "$0")/lib.sh"
DIR=$TMP/broker
BROKER=$(tests/broker/broker.sh start "$DIR") || fail "no broker"
export BROKER S4REC_BOOTSTRAP_SERVERS="$BROKER"
broker=$(cat "$DIR/pid")
stopped() { kill -STOP "$broker"; since=$(date +%s); }
goes_on() { kill -CONT "$broker"; }
# ends_within SECONDS CODE: the worker $pid, though the broker does not answer
ends_within() {
	while kill -0 "$pid" 2>/dev/null; do
		[ $(($(date +%s) - since)) -le "$1" ] || { kill -QUIT "$pid"; fail "$(($(date +%s) - since)) s without a broker, and it does not end: $(tail -n 3 "$log")"; }
		sleep 0.1
	done
	took=$(($(date +%s) - since))
	ends "$pid" "$2"
}
live="--linger.ms 50 --commit.ms 100 --progress.ms 500"
"$S4REC" generate --events 3000 --users 300 --items 80 --interests 4 --malformed 0 --duplicates 0 --late 0 >"$TMP/events.jsonl" 2>"$TMP/gen.log"
"$S4REC" generate --events 4000 --skip 3000 --users 300 --items 80 --interests 4 --malformed 0 --duplicates 0 --late 0 >"$TMP/more.jsonl" 2>"$TMP/gen.log"
feed() { "$S4REC" load -t "$1" --rate "$3" "$2" >"$TMP/load.log" 2>&1 & }
# all PREFIX EVENTS: learned, each once, whatever is still to do; as a supervisor would, since the broker needs some seconds, too
all() {
	tries=0 code=1
	while [ "$code" != 0 ]; do
		tries=$((tries + 1)) code=0
		# shellcheck disable=SC2046
		"$S4REC" train -t "$1" --until end $(small) >"$TMP/err.log" 2>&1 || code=$?
		case $code in 0) ;; 69 | 75) [ "$tries" -lt 20 ] || fail "it does not come back: $(tail -n 3 "$TMP/err.log")"; sleep 1 ;; *) fail "exit $code: $(tail -n 3 "$TMP/err.log")" ;; esac
	done
	says "events=$2 "
	view "$1" >"$TMP/now.view"
	! grep -qi 'incomplete' "$TMP/view.log" || fail "$1: $(cat "$TMP/view.log")"
}

# 1. 20 s, and transactions may last 60: the same process goes on
A=${PREFIX}_a; load "$A" "$TMP/events.jsonl"
start "$TMP/short.log" train -t "$A" --transaction.timeout.ms 60000 --election.timeout.ms 60000 --state.flush.ms 500 $live $(small)
feed "$A" "$TMP/more.jsonl" 500
eventually 60 logged ' train events=[1-9][0-9][0-9][0-9]' "$TMP/short.log"
stopped; sleep 20; goes_on
eventually 60 logged ' train events=[0-9]* .* lag=0 ' "$TMP/short.log"
kill -TERM "$pid"; ends "$pid" 0
all "$A" "$(wc -l <"$TMP/events.jsonl" | awk '{ print $1 + 4000 }')"

# 2. longer than a transaction may last, with a flush of state under way, which may last much longer: the commit decides
B=${PREFIX}_b; load "$B" "$TMP/events.jsonl"
start "$TMP/long.log" train -t "$B" --transaction.timeout.ms 1000 --state.flush.ms 0 $live $(small)
feed "$B" "$TMP/more.jsonl" 500
eventually 60 logged ' state flushed' "$TMP/long.log"
eventually 60 logged ' train events=[1-9][0-9][0-9][0-9]' "$TMP/long.log"
stopped
ends_within 40 75
long=$took
goes_on
eventually 60 sh -c "! kill -0 $! 2>/dev/null"
all "$B" 7000

# 3. a stop that waits for its last flush
C=${PREFIX}_c; load "$C" "$TMP/events.jsonl"
start "$TMP/stop.log" train -t "$C" --transaction.timeout.ms 1000 --state.timeout.ms 1000 $live $(small)
eventually 60 logged ' lag=0 ' "$TMP/stop.log"
stopped
kill -TERM "$pid"
ends_within 40 75
stop=$took
goes_on
all "$C" 3000

# 4. a start that waits for its transactions
D=${PREFIX}_d; load "$D" "$TMP/events.jsonl"
start "$TMP/start.log" train -t "$D" --transaction.timeout.ms 1000 --connect.timeout.ms 3000 $live $(small)
sleep 0.3
stopped
while kill -0 "$pid" 2>/dev/null; do
	[ $(($(date +%s) - since)) -le 150 ] || { kill -QUIT "$pid"; fail "a start without a broker does not end: $(tail -n 3 "$TMP/start.log")"; }
	sleep 0.1
done
code=0; wait "$pid" || code=$?
begin=$(($(date +%s) - since))
case $code in 69 | 75) ;; *) fail "a start without a broker ends with $code" ;; esac
goes_on
all "$D" 3000
tests/broker/broker.sh stop "$DIR"
echo "ok $NAME: ended after $long s in the middle of the work, $stop s at a stop, $begin s at a start"
