#!/bin/sh
# Requests that do not arrive and answers that get lost, at each step of a transaction: the connection is reset, or stays silent. The broker
# may have acted or not; the worker cannot tell. And a worker that the network parts from the broker.
. "$(dirname "$0")/lib.sh"

P=${PREFIX}_p; prefix_new "$P"; follow "$P"
read -r listen port <"$FAULTS/proxied"
mkfifo "$TMP/orders"
"$BUILD/faults/proxy" "$listen" "$port" <"$TMP/orders" >"$TMP/did" 2>"$TMP/proxy.log" & proxy=$!
exec 3>"$TMP/orders"
export S4REC_BOOTSTRAP_SERVERS="127.0.0.1:$port"
did() { [ "$(wc -l <"$TMP/did")" -ge "$1" ]; }

# 0 Produce, 22 InitProducerId, 24 AddPartitionsToTxn, 25 AddOffsetsToTxn, 26 EndTxn, 28 TxnOffsetCommit
done=0
for order in ${ORDERS:-request:26 response:26 request:28 response:28 response:0 response:24 response:25 request:22 silence:26}; do
	# shellcheck disable=SC2046
	start "$TMP/spoilt.log" $(worker "$P" --until end --state.flush.ms 100 -X socket.timeout.ms=1500)
	case $order in *:22) ;; *) eventually 60 logged ' train events=\|new model\|replay done' "$TMP/spoilt.log" ;; esac
	echo "$order 1" | tr : ' ' >&3
	eventually 60 did $((done + 1))
	done=$((done + 1))
	case $order in silence:*) sleep 3 ;; *) draw 3; sleep "0.$drawn" ;; esac # a silent answer is given up after socket.timeout.ms
	kill -9 "$pid" 2>/dev/null || :
	code=0; wait "$pid" || code=$?
	case $code in 0 | 75 | 137) echo "$order: $code" ;; *) fail "$order: exit $code: $(tail -n 3 "$TMP/spoilt.log")" ;; esac
done

# Cut off altogether, for longer than its lead and its transactions last, while another one trains; then the network is back.
# shellcheck disable=SC2046
start "$TMP/cut_off.log" $(worker "$P" --until end --election.timeout.ms 1500 --transaction.timeout.ms 10000)
eventually 60 logged ' train events=\|replay done' "$TMP/cut_off.log"
kill -STOP "$proxy"
export S4REC_BOOTSTRAP_SERVERS="$BROKER"
# shellcheck disable=SC2046
CRASH_POINT=commit.after_end:4 "$S4REC" $(worker "$P" --until end) >"$TMP/successor.log" 2>&1 & successor=$!
ends "$successor" 137
kill -CONT "$proxy"
ends "$pid" 75
through "$P"
as_if_nothing_happened "$P"
echo "ok $NAME: $done answers lost"
