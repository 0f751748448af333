#!/bin/sh
# Requests that do not arrive and answers that get lost, at each step of a transaction: the connection is reset, or stays silent. The broker
# may have acted or not; the worker cannot tell.
. "$(dirname "$0")/lib.sh"

P=${PREFIX}_p; prefix_new "$P"; follow "$P"
read -r listen port <"$FAULTS/proxied"
mkfifo "$TMP/orders"
"$BUILD/faults/proxy" "$listen" "$port" <"$TMP/orders" >"$TMP/did" 2>"$TMP/proxy.log" & PIDS="$PIDS $!"
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
export S4REC_BOOTSTRAP_SERVERS="$BROKER"
through "$P"
as_if_nothing_happened "$P"
echo "ok $NAME: $done answers lost"
