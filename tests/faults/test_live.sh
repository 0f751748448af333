#!/bin/sh
# A live run, which cuts by a clock, killed and stopped while events come in: what it published is what its own committed cuts say, byte for
# byte, clock fields too (they are those of the cuts).
. "$(dirname "$0")/lib.sh"

INPUT=$PREFIX.interactions
"$S4REC" generate --events 4000 --users 300 --items 80 --interests 4 --malformed 0.01 --duplicates 0.002 --late 0.01 >"$TMP/events.jsonl" 2>"$TMP/gen.log"
"$S4REC" topics create -t "$PREFIX" >"$TMP/create.log" 2>&1
P=${PREFIX}_p; prefix_new "$P"; follow "$P"
live="--linger.ms 50 --commit.ms 100 --state.flush.ms 500"
start "$TMP/load.log" load -t "$PREFIX" --rate 800 "$TMP/events.jsonl"; loading=$pid
for signal in KILL TERM KILL STOP; do
	# shellcheck disable=SC2046,SC2086
	start "$TMP/live.log" $(worker "$P" $live)
	eventually 60 logged ' train events=' "$TMP/live.log"
	draw 500; sleep "0.$(printf %03d "$drawn")"
	kill "-$signal" "$pid"
	case $signal in
	KILL) ends "$pid" 137 ;;
	TERM) ends "$pid" 0 ;;
	STOP) stopped=$pid ;;
	esac
done
# It was stopped before its join was through (members that were killed are waited for), joins again when it wakes, and may cost the other one the lead.
# shellcheck disable=SC2046,SC2086
start "$TMP/last.log" $(worker "$P" $live --restart); last=$pid
eventually 60 logged ' train events=' "$TMP/last.log"
kill -CONT "$stopped"
ends "$loading" 0
"$TOOL" produce "$INPUT" 0 u1 '{"item_id":"one more"}' # it may have woken to an idle stream, and finds out when it commits
ends "$stopped" 75
caught_up() { tail -n 1 "$TMP/last.log" | grep -q ' lag=0 '; }
eventually 60 caught_up
kill -TERM "$last"; ends "$last" 0
# shellcheck disable=SC2086
as_its_cuts_say "$P" $live
[ "$(cuts "$TMP/follow.dump" 6 | wc -l)" -ge 30 ] || fail "only $(cuts "$TMP/follow.dump" 6 | wc -l) cuts"
echo "ok $NAME: $(cuts "$TMP/follow.dump" 6 | wc -l) cuts"
