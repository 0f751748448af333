#!/bin/sh
# One trainer, others stand by: killed, stopped or told to give way, the leader is followed by one that goes on with its model; a leader that comes
# back publishes nothing; between two workers that are killed and stopped in turn the lead goes to and fro only as often as that.
# not with sanitizers: its waits are of real time, and the code is that of other tests
. "$(dirname "$0")/lib.sh"

stream "$TMP/events.jsonl" 9000
elect="--election.timeout.ms 3000 --progress.ms 100"
leads() { grep -c ' info leading ' "$1" || :; }
led() { [ "$(leads "$1")" -ge "$2" ]; }

# 1. a bounded run whose leader is killed: the standby, which has followed the state, ends with the rows of an undisturbed run
A=${PREFIX}_a; load "$A" "$TMP/events.jsonl"
expect 0 train -t "$A" --until end $(small)
view "$A" >"$TMP/a.view"
B=${PREFIX}_b; load "$B" "$TMP/events.jsonl"
bounded() { start "$1" train -t "$B" --until end --state.flush.ms 100 $elect $(small); }
bounded "$TMP/b1.log"; first=$pid
eventually 30 logged ' info leading ' "$TMP/b1.log"
bounded "$TMP/b2.log"; second=$pid
left=100 # the leader is held back, for less than the election waits: else it is through before the standby says a word
until logged 'standing by: .* step=[1-9]' "$TMP/b2.log"; do
	kill -STOP "$first"; sleep 0.3; kill -CONT "$first"; sleep 0.1
	left=$((left - 1)); [ "$left" -gt 0 ] || fail "nobody stands by"
done
kill -KILL "$first"; ends "$first" 137
killed_ms=$(($(date +%s%N) / 1000000))
eventually 20 logged 'replay done' "$TMP/b2.log"
took_ms=$(($(date +%s%N) / 1000000 - killed_ms))
ends "$second" 0
same_view "$TMP/a.view" "$B" "after the leader was killed"
sed -n 's/.* info restored .* records=\([0-9]*\) new_records=\([0-9]*\)$/\1 \2/p' "$TMP/b2.log" >"$TMP/restored"
read -r all new <"$TMP/restored"
[ "$all" -gt 100 ] && [ "$new" -lt "$all" ] || fail "the standby has read $new of $all records anew: it did not follow"
[ "$took_ms" -lt 8000 ] || fail "the standby took over after $took_ms ms"

# 2. live: stopped for longer than the timeout, the leader comes back as a zombie: 75, and nothing of it is seen
C=${PREFIX}_c
"$S4REC" topics create -t "$C" >"$TMP/create.log" 2>&1
"$S4REC" read -t "$C" --vectors 0 >"$TMP/follow.jsonl" 2>"$TMP/follow.log" & follow=$!
live() { log=$1; shift; start "$log" train -t "$C" --linger.ms 50 --commit.ms 100 --state.flush.ms 100 $elect $(small) "$@"; }
newest() { sed -n 's/^{"key":"model",.*"version":\([0-9]*\),.*/\1/p' "$TMP/follow.jsonl" | sort -n | tail -n 1; }
beyond() { [ "$(newest)" -gt "$1" ] 2>/dev/null; }
events_left() { sed -n "$1,$2p" "$TMP/events.jsonl" >"$TMP/part.jsonl"; "$S4REC" load -t "$C" "$TMP/part.jsonl" >"$TMP/load.log" 2>&1; }
caught_up() { tail -n 1 "$1" | grep -q ' lag=0 '; }
# publishes FROM TO: these lines of the stream lead to a new version
publishes() { before=$(newest); events_left "$1" "$2"; eventually 20 beyond "${before:-0}"; }
live "$TMP/c1.log"; first=$pid
eventually 20 logged ' info leading ' "$TMP/c1.log"
live "$TMP/c2.log"; second=$pid
publishes 1 500
publishes 501 1000 # a flush begins with a commit
eventually 20 logged 'standing by: .* step=[1-9]' "$TMP/c2.log"
eventually 20 caught_up "$TMP/c1.log"; sleep 0.5 # nothing is under way at which it could be fenced
kill -STOP "$first"
eventually 20 logged 'replay done' "$TMP/c2.log"
kill -CONT "$first"; ends "$first" 75
publishes 1001 2000
publishes 2001 3000

# 3. taken over while a third one stands by: that one stays where it is
live "$TMP/c3.log"; third=$pid
eventually 20 logged 'standing by' "$TMP/c3.log"
live "$TMP/c4.log" --take.over; fourth=$pid
eventually 20 logged 'replay done' "$TMP/c4.log"
ends "$second" 75
publishes 3001 4000
[ "$(leads "$TMP/c3.log")" = 0 ] || fail "the third worker took the lead"
kill -TERM "$fourth"; ends "$fourth" 0 # and leaves at once: no timeout
eventually 20 logged 'replay done' "$TMP/c3.log"
kill -TERM "$third"; ends "$third" 0

# 4. two that are started again, killed and stopped in turn: each time the other one goes on, and nobody else changes
live "$TMP/r1.log" --restart; one=$pid
eventually 20 led "$TMP/r1.log" 1
live "$TMP/r2.log" --restart; two=$pid
child() { sed -n 's/.* worker started: pid=\([0-9]*\)$/\1/p' "$1" | tail -n 1; }
standing() { tail -n 1 "$1" | grep -q 'standing by'; }
from=4001 n1=1 n2=0 leader=$TMP/r1.log other=$TMP/r2.log
for how in KILL STOP KILL STOP; do
	eventually 30 standing "$other"
	victim=$(child "$leader")
	kill -"$how" "$victim"
	case $leader in *r1.log) n2=$((n2 + 1)) want=$n2 ;; *) n1=$((n1 + 1)) want=$n1 ;; esac
	eventually 20 led "$other" "$want"
	publishes "$from" $((from + 999)); from=$((from + 1000))
	[ "$how" = KILL ] || kill -CONT "$victim"
	last=$leader leader=$other other=$last
done
eventually 30 standing "$other"
events_left "$from" 9999999
[ "$(leads "$TMP/r1.log") $(leads "$TMP/r2.log")" = "$n1 $n2" ] || fail "led $(leads "$TMP/r1.log") and $(leads "$TMP/r2.log") times, $n1 and $n2 were asked for"
case $other in *r1.log) standby=$one trainer=$two ;; *) standby=$two trainer=$one ;; esac
kill -TERM "$standby"; ends "$standby" 0
eventually 30 caught_up "$leader"
kill -TERM "$trainer"; ends "$trainer" 0

# every event was trained once, every version seen once, in order and whole
expect 0 train -t "$C" --until end $(small)
says "events=$good "
dead_letters "$C" "$bad"
at_newest() { [ "$(grep -c "\"key\":\"model\",\"partition\":[0-9]*,\"version\":$last_version," "$TMP/follow.jsonl")" = 4 ]; }
last_version=$("$S4REC" read -e -t "$C" --vectors 0 2>/dev/null | sed -n 's/^{"key":"model",.*"version":\([0-9]*\),.*/\1/p' | sort -n | tail -n 1)
eventually 20 at_newest
kill -TERM "$follow"; ends "$follow" 0
complete=$(awk -v partitions=4 -f "$(dirname "$0")/follow.awk" "$TMP/follow.jsonl") || fail "the reader's contract: $complete"
echo "ok $NAME: taken over after $took_ms ms, $complete versions"
