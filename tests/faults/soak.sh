#!/bin/bash
# soak.sh - `make soak KILLS=n MINUTES=m`: a live stream for m minutes, n faults of all kinds at random while it lasts, a read_committed reader
# beside it; at the end the judge folds offline along the cuts that it saw, and all that was published must be just that.
# SEED repeats the choices. KINDS="kill point ..." takes some only. RATE events a second. OPTIONS are given to each worker.
. "$(dirname "$0")/lib.sh"
set -E
trap 'echo "soak.sh: line $LINENO"' ERR
KILLS=${KILLS:-20} MINUTES=${MINUTES:-2} RATE=${RATE:-200}
KINDS=${KINDS:-kill kill kill point point point term stop twin standby pause crash answer answer}
SEED=${SEED:-$(date +%s)}
echo "seed $SEED, $KILLS faults in $MINUTES minutes"
read -ra kinds <<<"$KINDS"
mapfile -t points < <(grep -rhoE 'crash_point\("[^"]+"' worker --include='*.c' | cut -d'"' -f2)
orders=(request:26 response:26 request:28 response:28 silence:26 silence:28 response:0 request:24 response:25 request:22 response:22)
# Transactions outlive each pause and crash of the broker: a single node that is away while one times out may lose its markers (test_broker.sh, test_disk.sh).
live="--linger.ms 50 --commit.ms 100 --state.flush.ms 1000 --election.timeout.ms 2000 --transaction.timeout.ms 40000 ${OPTIONS:-}"
now() { echo $((${EPOCHREALTIME/./} / 1000)); }

INPUT=$PREFIX.interactions P=${PREFIX}_p
"$S4REC" generate --events $((RATE * 60 * (MINUTES + 2))) --users 2000 --items 300 --interests 10 --malformed 0.01 --duplicates 0.002 --late 0.01 >"$TMP/events.jsonl" 2>"$TMP/gen.log"
"$S4REC" topics create -t "$PREFIX" >"$TMP/create.log" 2>&1
prefix_new "$P"; follow "$P"
# What the stream is does not matter, so a part that a crash of the broker spoils is left as it is (librdkafka's idempotent producer may give up).
split -l $((RATE * 5)) "$TMP/events.jsonl" "$TMP/part."
(for part in "$TMP"/part.*; do
	timeout 60 "$S4REC" load -t "$PREFIX" --rate "$RATE" "$part" >>"$TMP/load.log" 2>&1 || echo "a part is not whole" >>"$TMP/load.log"
	[ ! -e "$TMP/no_more" ] || exit 0
done) & loading=$!
read -r listen port <"$FAULTS/proxied"
mkfifo "$TMP/orders"
"$BUILD/faults/proxy" "$listen" "$port" <"$TMP/orders" >"$TMP/did" 2>"$TMP/proxy.log" &
exec 3>"$TMP/orders"

# ---- the supervisor: one worker, started again whenever it has ended ----
worker_pid='' worker_log='' worker_started=0 workers=0 more='' # more: options of those that start now
start_worker() { # start_worker [POINT:N]
	workers=$((workers + 1)) worker_log=$TMP/worker.$((workers % 100)).log
	# shellcheck disable=SC2046,SC2086
	CRASH_POINT=${1:-} S4REC_BOOTSTRAP_SERVERS="127.0.0.1:$port" "$S4REC" $(worker "$P" $live $more) >"$worker_log" 2>&1 & worker_pid=$!
	worker_started=$(now)
}
running() { kill -0 "$1" 2>/dev/null; }
# gone PID: what it ended with must be one of what a supervisor starts again for
gone() {
	local code=0
	wait "$1" 2>/dev/null || code=$?
	case $code in 0 | 69 | 75 | 137) ;; *) fail "a worker ended with $code: $(tail -qn 5 $(ls -t "$TMP"/worker.*.log | head -n 2))" ;; esac
	exits[$code]=$((${exits[$code]:-0} + 1))
}
supervise() { # supervise SECONDS
	local end=$(($(now) + $1 * 1000))
	while [ "$(now)" -lt "$end" ]; do
		running "$worker_pid" || { gone "$worker_pid"; start_worker; }
		sleep 0.05
	done
}
newest_version_ms() { tail -n 3000 "$TMP/follow.dump" | awk '$2 == "embeddings" && $5 == "model" { ms = $1 } END { print ms ? ms : 0 }'; }
# recovers KIND SINCE-MS: until a worker that runs now has published; notes how long that took
recovers() {
	local end=$(($(now) + 120000)) from
	while :; do
		running "$worker_pid" || { gone "$worker_pid"; start_worker; }
		from=$(($2 > worker_started ? $2 : worker_started))
		[ "$(newest_version_ms)" -le $((from + 50)) ] || break
		[ "$(now)" -lt "$end" ] || fail "no version in two minutes after $1: $(tail -n 5 "$worker_log")"
		sleep 0.05
	done
	echo "$1 $(($(awk -v from=$((from + 50)) '$1 > from && $2 == "embeddings" && $5 == "model" { print $1; exit }' <(tail -n 20000 "$TMP/follow.dump")) - $2))" >>"$TMP/recovered"
}

# ---- the faults ----
declare -A exits
hit() { kill "$1" "$2" 2>/dev/null || :; } # hit SIGNAL PID: a worker, that may have ended just now
fault() {
	local t old
	t=$(now)
	case $1 in
	kill) hit -9 "$worker_pid" ;;
	term) hit -TERM "$worker_pid" ;;
	point) # it dies at a place of its next life
		hit -9 "$worker_pid"; gone "$worker_pid"
		draw ${#points[@]}; local point=${points[drawn]}
		draw 4
		start_worker "$point:$((drawn + 1))"
		local end=$(($(now) + 6000))
		while running "$worker_pid" && [ "$(now)" -lt "$end" ]; do sleep 0.05; done # not every place is passed in a live run
		t=$(now) ;;
	stop) # longer than its transactions last and the election waits; a successor takes over, then it wakes
		old=$worker_pid old_log=$worker_log; hit -STOP "$old"
		start_worker; supervise 4
		hit -CONT "$old"; settles "$old" "$old_log" ;;
	twin) # it takes the lead from one that works
		more=--take.over
		old=$worker_pid old_log=$worker_log; start_worker; settles "$old" "$old_log"
		more='' ;;
	standby) # it waits, follows, and has the lead when the other is killed
		old=$worker_pid; start_worker; supervise 2
		t=$(now); hit -9 "$old"; gone "$old" ;;
	pause) draw 20; kill -STOP "$(cat "$FAULTS/pid")"; sleep $((drawn + 1)); kill -CONT "$(cat "$FAULTS/pid")"; t=$(now) ;;
	crash) # not between the answer to a commit and its markers: see test_broker.sh
		hit -STOP "$worker_pid"; sleep 0.5
		tests/broker/broker.sh kill "$FAULTS"; hit -CONT "$worker_pid"
		draw 3; sleep "$drawn"; tests/broker/broker.sh start "$FAULTS" >"$TMP/broker.out"; t=$(now) ;;
	answer) draw ${#orders[@]}; echo "${orders[drawn]} 1" | tr : ' ' >&3 ;;
	*) fail "no fault $1" ;;
	esac
	recovers "$1" "$t"
}
# settles PID LOG: of two workers one is left. One that led and was replaced ends by itself; one that had only begun to start when it was hit may
# stand by, or lead with the number that it had drawn before its successor (election.h): then who stands by is told to end.
settles() {
	local end=$(($(now) + 15000))
	while running "$1" && [ "$(now)" -lt "$end" ]; do supervise 1; done
	if running "$1" && tail -n 1 "$worker_log" | grep -q 'standing by'; then
		hit -TERM "$worker_pid"; gone "$worker_pid"
		worker_pid=$1 worker_log=$2
	elif running "$1" && tail -n 1 "$2" | grep -q 'standing by'; then
		hit -TERM "$1"
	fi
	[ "$worker_pid" = "$1" ] || gone_within 60 "$1"
}
gone_within() { # gone_within SECONDS PID, while the present worker is kept alive
	local end=$(($(now) + $1 * 1000))
	while running "$2"; do
		[ "$(now)" -lt "$end" ] || fail "a worker that was replaced does not end"
		running "$worker_pid" || { gone "$worker_pid"; start_worker; }
		sleep 0.05
	done
	gone "$2"
}

: >"$TMP/recovered"
begin=$(now)
start_worker
recovers start "$begin"
for ((k = 1; k <= KILLS; k++)); do
	draw ${#kinds[@]}; kind=${kinds[drawn]}
	fault "$kind"
	echo "$(((  $(now) - begin) / 1000)) s: $kind, $(tail -n 1 "$TMP/recovered" | cut -d' ' -f2) ms"
	wait_ms=$((begin + MINUTES * 60000 * k / KILLS - $(now)))
	[ "$wait_ms" -le 0 ] || supervise $((wait_ms / 1000 + 1))
	running "$loading" || fail "the stream ended: $(tail -n 2 "$TMP/load.log")"
done

# ---- the end ----
touch "$TMP/no_more"; wait "$loading" || :
caught_up() { running "$worker_pid" || { gone "$worker_pid"; start_worker; sleep 1; }; tail -n 1 "$worker_log" | grep -q ' lag=0 '; }
eventually 120 caught_up
hit -TERM "$worker_pid"; gone "$worker_pid"
# shellcheck disable=SC2086
as_its_cuts_say "$P" $live
echo; echo "fault    times   to the next version: p50 ms   p99 ms   longest"
sort -k1,1 -k2,2n "$TMP/recovered" | awk 'function line() { if (n) printf "%-8s %5d %28d %8d %9d\n", kind, n, ms[int((n + 1) / 2)], ms[int(n * 0.99 + 0.99)], ms[n] }
	$1 != kind { line(); kind = $1; n = 0 } { ms[++n] = $2 } END { line() }'
echo "workers ended with:$(for c in "${!exits[@]}"; do printf ' %s (%s times)' "$c" "${exits[$c]}"; done); answers lost: $(wc -l <"$TMP/did")"
echo "ok soak: $KILLS faults, $(cuts "$TMP/follow.dump" 6 | wc -l) cuts, $(awk '$2 == "embeddings"' "$TMP/follow.dump" | wc -l) published records: byte for byte what the cuts say"
