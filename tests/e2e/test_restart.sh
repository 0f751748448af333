#!/bin/sh
# Stopped and killed at any place, a worker that goes on ends with the rows, dead letters and scores of one that was left alone.
. "$(dirname "$0")/lib.sh"

# again PREFIX SIGNAL TIMES OPTIONS...: `train --until end` that gets SIGNAL so many times, each time after some more steps, then runs
# to its end. Counts in $hits how often it was really in the middle.
again() {
	prefix=$1 signal=$2 times=$3; shift 3
	hits=0 tries=0 log=$TMP/again.log
	while [ "$tries" -lt "$times" ]; do
		tries=$((tries + 1))
		start "$log" train -t "$prefix" --until end --progress.ms 100 $(small "$@")
		if [ "$signal" = KILL ] && [ $((tries % 3)) = 0 ]; then
			sleep "0.$((tries % 7))" # anywhere: at the start, in the replay
		else
			eventually 60 logged ' train events=' "$log" # the replay is over
		fi
		kill "-$signal" "$pid" 2>/dev/null || :
		code=0; wait "$pid" || code=$?
		case $signal$code in
		KILL137) hits=$((hits + 1)) ;;
		TERM0) ! grep ' stopped ' "$log" | grep -qv " step=$last_step " || hits=$((hits + 1)) ;;
		KILL0) ;;
		*) fail "after $signal the exit is $code" ;;
		esac
	done
	[ "$hits" -ge 2 ] || fail "$signal came in the middle only $hits times"
	expect 0 train -t "$prefix" --until end $(small "$@")
	says " dead_letters=$bad"
	dead_letters "$prefix" "$bad"
}
same_view() { view "$2" >"$TMP/other.view"; cmp -s "$1" "$TMP/other.view" || fail "$3: $(diff "$1" "$TMP/other.view" | grep -c '^[<>]') lines of the rows differ"; }

# 1. the run that nobody disturbs
stream "$TMP/events.jsonl" 6000
A=${PREFIX}_a; load "$A" "$TMP/events.jsonl"
expect 0 train -t "$A" --until end --eval.out "$TMP/a.eval" --eval.covisit 1 $(small)
says "events=$good "
last_step=$(sed -n 's/.* stopped .*step=\([0-9]*\).*/\1/p' "$TMP/err.log")
view "$A" >"$TMP/a.view"
[ "$(wc -l <"$TMP/a.view") $(wc -l <"$TMP/a.eval")" != '0 1' ] || fail "no rows or no scores to compare"
awk -F'\t' 'NR > 1 && $5 != "NA" { n++ } END { exit n < 1000 }' "$TMP/a.eval" || fail "covisit was not scored"

# 2. killed at many places: rows and dead letters are the same; so is eval.out, which is written anew from the first event on
B=${PREFIX}_b; load "$B" "$TMP/events.jsonl"
again "$B" KILL 6 --eval.out "$TMP/b.eval" --eval.covisit 1
kills=$hits
same_view "$TMP/a.view" "$B" "after $kills kills"
cmp "$TMP/a.eval" "$TMP/b.eval" || fail "after $kills kills eval.out differs"

# 3. asked to stop at many places: with cut=log a signal decides nothing about batches and commits
T=${PREFIX}_t; load "$T" "$TMP/events.jsonl"
again "$T" TERM 4
stops=$hits
same_view "$TMP/a.view" "$T" "after $stops stops"
raw "$T" | versions >"$TMP/t.versions"
raw "$A" | versions | cmp -s - "$TMP/t.versions" || fail "after $stops stops the versions are others"

# 4. asked to stop while it replays: it leaves at once, with 0, and has written nothing
R=${PREFIX}_r; load "$R" "$TMP/events.jsonl"
unflushed="--state.flush.ms 3600000"
# shellcheck disable=SC2086
start "$TMP/killed.log" train -t "$R" --until end --progress.ms 100 $(small $unflushed)
eventually 60 logged ' train events=[2-9][0-9][0-9][0-9]' "$TMP/killed.log"
kill -KILL "$pid" 2>/dev/null; ends "$pid" 137
raw "$R" >"$TMP/before"; "$TOOL" dump "$R.batches" >"$TMP/cuts.before"
tries=0
while :; do
	[ "$tries" -lt 5 ] || fail "no signal came during a replay"
	tries=$((tries + 1))
	# shellcheck disable=SC2086
	start "$TMP/replay.log" train -t "$R" --until end $(small $unflushed)
	eventually 30 logged 'replaying the committed cuts' "$TMP/replay.log"
	kill -TERM "$pid" 2>/dev/null || :
	ends "$pid" 0
	logged 'replay done' "$TMP/replay.log" || break
done
! logged error "$TMP/replay.log" || fail "a stopped replay complains: $(cat "$TMP/replay.log")"
raw "$R" | cmp -s - "$TMP/before" || fail "a stopped replay published something"
"$TOOL" dump "$R.batches" | cmp -s - "$TMP/cuts.before" || fail "a stopped replay wrote cuts"
expect 0 train -t "$R" --until end $(small)
says "replay done: step="
same_view "$TMP/a.view" "$R" "after a stopped replay"

# 5. the other losses: their negatives are drawn by what the log says, too
head -n 2000 "$TMP/events.jsonl" >"$TMP/short.jsonl"
bad=$(grep -c '^!raw' "$TMP/short.jsonl")
for loss in sampled bce; do
	U=${PREFIX}_${loss}_u; load "$U" "$TMP/short.jsonl"
	K=${PREFIX}_${loss}_k; load "$K" "$TMP/short.jsonl"
	options="--loss $loss --negatives 8 --negatives.recent 500"
	# shellcheck disable=SC2086
	expect 0 train -t "$U" --until end $(small $options)
	view "$U" >"$TMP/u.view"
	! cmp -s "$TMP/u.view" "$TMP/a.view" || fail "loss $loss changes nothing"
	# shellcheck disable=SC2086
	again "$K" KILL 3 $options
	same_view "$TMP/u.view" "$K" "loss $loss, after $hits kills"
done
echo "ok $NAME: $kills kills, $stops stops"
