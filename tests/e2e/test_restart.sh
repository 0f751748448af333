#!/bin/sh
# Stopped and killed at any place, a worker that goes on ends with the rows, dead letters and scores of one that was left alone.
# not with sanitizers: kills at random places; the code is that of train and state
. "$(dirname "$0")/lib.sh"

# 1. the run that nobody disturbs
stream "$TMP/events.jsonl" 6000
A=${PREFIX}_a; load "$A" "$TMP/events.jsonl"
expect 0 train -t "$A" --until end --eval.out "$TMP/a.eval" --eval.windows "$TMP/a.windows" --eval.window.ms 600000 --eval.covisit 1 $(small)
says "events=$good "
last_step=$(sed -n 's/.* stopped .*step=\([0-9]*\).*/\1/p' "$TMP/err.log")
view "$A" >"$TMP/a.view"
[ "$(wc -l <"$TMP/a.view") $(wc -l <"$TMP/a.eval")" != '0 1' ] || fail "no rows or no scores to compare"
awk -F'[:,]' -v want="$(($(wc -l <"$TMP/a.eval") - 1))" '/"online","split":"all"/ { n += $10; windows += !seen[$4]++ } END { exit n != want || windows < 3 }' "$TMP/a.windows" ||
	fail "the windows do not add up to the events of eval.out"
awk -F'\t' 'NR > 1 && $6 != "NA" { n++ } END { exit n < 1000 }' "$TMP/a.eval" || fail "covisit was not scored"

# as many threads, and as much at a time, as one likes: the same bits
for how in '1 1000' '4 40000'; do
	D=${PREFIX}_d${how%% *}; "$S4REC" topics create -t "$D" --input.topic "$A.interactions" >"$TMP/create.log" 2>&1
	expect 0 train -t "$D" --input.topic "$A.interactions" --until end $(small) --threads "${how%% *}" -X "max.partition.fetch.bytes=${how##* }"
	same_view "$TMP/a.view" "$D" "with threads and bytes a fetch = $how"
done

# 2. killed at many places: rows and dead letters are the same; so are eval.out and eval.windows, which are written anew from the first event on
B=${PREFIX}_b; load "$B" "$TMP/events.jsonl"
again "$B" KILL 6 --eval.out "$TMP/b.eval" --eval.windows "$TMP/b.windows" --eval.window.ms 600000 --eval.covisit 1
kills=$hits
same_view "$TMP/a.view" "$B" "after $kills kills"
for x in a b; do cut -f 1-5,7- "$TMP/$x.eval" >"$TMP/$x.scores"; done # co-visitation is not part of the state: NA behind a restore
cmp "$TMP/a.scores" "$TMP/b.scores" || fail "after $kills kills eval.out differs"
cmp "$TMP/a.windows" "$TMP/b.windows" || fail "after $kills kills eval.windows differs"

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
echo "ok $NAME: $kills kills, $stops stops"
