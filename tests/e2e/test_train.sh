#!/bin/sh
# The main job on a small stream: bounded replay, the reader's contract at every version of a live run, dead letters, the two signals.
# test_restart.sh goes on with what a worker does after it was stopped or killed.
. "$(dirname "$0")/lib.sh"

stream "$TMP/events.jsonl" 6000

# 1. one undisturbed run
A=${PREFIX}_a; load "$A" "$TMP/events.jsonl"
expect 0 train -t "$A" --until end $(small)
says "events=$good "; says " dead_letters=$bad"
dead_letters "$A" "$bad"
view "$A" >"$TMP/a.view"
grep -q '^complete' "$TMP/view.log" || { cat "$TMP/view.log" >&2; fail "the view is not complete"; }
items=$(grep -c '"key":"item/' "$TMP/a.view"); users=$(grep -c '"key":"user/' "$TMP/a.view"); protos=$(grep -c '"key":"prototype/' "$TMP/a.view")
"$S4REC" read -e -t "$A" 2>/dev/null | grep '"key":"model"' | tail -n 1 >"$TMP/model.json"
grep -q "\"total_items\":$items,\"total_users\":$users,\"total_prototypes\":$protos" "$TMP/model.json" || fail "rows ($items items, $users users, $protos prototypes) differ from the version record: $(cat "$TMP/model.json")"
[ "$protos" = 8 ] || fail "8 prototypes expected, $protos found"

# 2. nothing new: a second run replays silently and publishes nothing
raw "$A" >"$TMP/before"
expect 0 train -t "$A" --until end $(small)
says 'replay done'
raw "$A" | cmp -s - "$TMP/before" || fail "a run without news published something"

# 3. other fold options on the same cuts are refused
expect 78 train -t "$A" --until end $(small --tau1 0.2)
says 'other options'

# 4. live, with a reader that follows from the first version on; the worker is asked to stop, then killed, while events come in.
# The reader sees every version once, in order, and whole.
C=${PREFIX}_c
live() { log=$1; shift; start "$log" train -t "$C" $(small --linger.ms 50 --commit.ms 100 --progress.ms 100 "$@"); }
seen() { sed -n 's/^{"key":"model",.*"version":\([0-9]*\),.*/\1/p' "$1" | sort -n | tail -n 1; }
reader_beyond() { [ "$(seen "$TMP/follow.jsonl")" -gt "$1" ] 2>/dev/null; }
caught_up() { tail -n 1 "$1" | grep -q ' lag=0 '; }
"$S4REC" topics create -t "$C" >"$TMP/create.log" 2>&1
"$S4REC" read -t "$C" --vectors 0 >"$TMP/follow.jsonl" 2>"$TMP/follow.log" & follow=$!
split -l 2000 "$TMP/events.jsonl" "$TMP/part."
for part in aa ab ac; do
	before=$(seen "$TMP/follow.jsonl")
	live "$TMP/live_$part.log"; worker=$pid
	start "$TMP/load.log" load -t "$C" --rate 2000 "$TMP/part.$part"; loading=$pid
	eventually 60 reader_beyond "${before:-0}"
	case $part in
	aa) kill -TERM "$worker"; ends "$worker" 0 ;;
	ab) kill -KILL "$worker"; ends "$worker" 137 ;;
	esac
	ends "$loading" 0
done
eventually 30 caught_up "$TMP/live_ac.log"
"$TOOL" produce "$C.interactions" 0 "$(sed -n 's/.*"key":"user\/\([^"]*\)".*/\1/p' "$TMP/follow.jsonl" | head -n 1)" -
eventually 30 logged '"deleted":true' "$TMP/follow.jsonl"
kill -TERM "$worker"; ends "$worker" 0
"$S4REC" read -e -t "$C" --vectors 0 >"$TMP/all.jsonl" 2>/dev/null
newest=$(seen "$TMP/all.jsonl")
at_newest() { [ "$(grep -c "\"key\":\"model\",\"partition\":[0-9]*,\"version\":$newest," "$TMP/follow.jsonl")" = 4 ]; }
eventually 30 at_newest
kill -TERM "$follow"; ends "$follow" 0
complete=$(awk -v partitions=4 -f "$(dirname "$0")/follow.awk" "$TMP/follow.jsonl") || fail "the reader's contract: $complete"
[ "$complete" = "$newest" ] || fail "the reader is at version $complete, the worker at $newest"
[ "$complete" -ge 4 ] || fail "only $complete versions: nothing was proved"
grep -q '^complete' "$TMP/follow.log" || fail "the follower says: $(cat "$TMP/follow.log")"
expect 0 train -t "$C" --until end $(small --linger.ms 50 --commit.ms 100)
says "events=$good "
dead_letters "$C" "$bad"

# 5. taken over by a second worker: the first one leaves with 75, on an idle stream too
live "$TMP/first.log"; first=$pid
eventually 30 logged 'replay done' "$TMP/first.log"
live "$TMP/second.log" --take.over; second=$pid
ends "$first" 75
kill -TERM "$second"; ends "$second" 0

# 6. with cut=log the first signal waits for the next commit, here the end of the stream; the second one does not
Q=${PREFIX}_q; load "$Q" "$TMP/events.jsonl"
start "$TMP/quit.log" train -t "$Q" --until end --threads 1 --width 128 --batch.users 32 --commit.steps 1000 --progress.ms 100
eventually 30 logged ' train events=' "$TMP/quit.log"
kill -TERM "$pid"
sleep 0.3
! logged ' stopped ' "$TMP/quit.log" || fail "the first signal did not wait: the second one was not tried"
before=$(date +%s%N)
kill -TERM "$pid"; ends "$pid" 143
[ $((($(date +%s%N) - before) / 1000000)) -lt 500 ] || fail "the second signal waited"
echo "ok $NAME: $good events, $bad dead letters, $complete versions"
