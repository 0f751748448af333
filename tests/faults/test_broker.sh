#!/bin/sh
# alone: it stops the broker of all
# The broker stops for PAUSE_S seconds (5), longer than a transaction may last; it crashes and comes back. Commits under way may have an
# unknown outcome: then the worker ends with 75, and the next one goes on from the last cut.
. "$(dirname "$0")/lib.sh"
PAUSE_S=${PAUSE_S:-5}

P=${PREFIX}_p; prefix_new "$P"; follow "$P"
broker=$(cat "$FAULTS/pid")
# in the middle of the work; the supervisor is this script
# shellcheck disable=SC2046
start "$TMP/paused.log" $(worker "$P" --until end)
eventually 60 logged ' train events=' "$TMP/paused.log"
kill -STOP "$broker"; sleep "$PAUSE_S"; kill -CONT "$broker"
sleep 0.2
code=0; wait "$pid" || code=$?
case $code in 0 | 75) ;; *) fail "a paused broker ends it with $code: $(tail -n 3 "$TMP/paused.log")" ;; esac

CRASH_POINT=commit.after_end:6 "$S4REC" $(worker "$P" --until end) >"$TMP/killed.log" 2>&1 || : # in case the pause came too late
# its transactions live longer than the broker is away: one that times out while a single node starts loses its markers, too (worker/README.md)
# shellcheck disable=SC2046
start "$TMP/killed.log" $(worker "$P" --until end --transaction.timeout.ms 60000)
eventually 60 logged ' train events=\|replay done' "$TMP/killed.log"
# In the middle of a transaction, but not while the broker ends one: a single node that is killed between its answer to a commit and the markers of
# it forgets these when it starts (4.3.1: "Couldn't find leader endpoint ... likely deleted already", its coordinator is elected before all topics are
# known), and the records stay hidden for ever. With more than one broker another one sends them.
kill -STOP "$pid"; sleep 0.5
tests/broker/broker.sh kill "$FAULTS"
kill -CONT "$pid"
tests/broker/broker.sh start "$FAULTS" >"$TMP/broker.out"
code=0; wait "$pid" || code=$?
case $code in 0 | 69 | 75) ;; *) fail "a crashed broker ends it with $code: $(tail -n 3 "$TMP/killed.log")" ;; esac
through "$P"
as_if_nothing_happened "$P"
echo "ok $NAME: paused $PAUSE_S s, crashed"
