#!/bin/sh
# --accept-gap where the state and what readers have are furthest apart: items that are too rare again, users of whom no item is known again, a model
# that nobody sees yet, one that was released in what is lost. The process ends at each place of the gap's own flush; at last every view is complete.
# shellcheck disable=SC2046,SC2086
. "$(dirname "$0")/lib.sh"
model=$(small)
events "$TMP/events.jsonl" 6000
grep -v '^!' "$TMP/events.jsonl" >"$TMP/all.jsonl"
head -n 2000 "$TMP/all.jsonl" >"$TMP/first.jsonl"
tail -n 4000 "$TMP/all.jsonl" >"$TMP/second.jsonl"
gone() { for p in 0 1 2 3; do "$TOOL" delete-records "$P.interactions" "$p" -1; done; }
dies_at() { at=$1; shift; crashes "$at" train -t "$P" --until end $model "$@"; } # dies_at POINT OPTIONS...
accepted() { # accepted OPTIONS...
	for point in flush.dense_copied flush.before_rows flush.before_end; do dies_at "$point" --accept-gap "$@"; done
	expect 0 train -t "$P" --until end --accept-gap $model "$@"
	says 'gap accepted'
	expect 0 read -e --vectors 0 -t "$P"
}

for how in rare:--min.count:60 unadmitted:--admit.count:30; do
	P=${PREFIX}_${how%%:*} options=$(echo "${how#*:}" | tr : ' ')
	load "$P" "$TMP/first.jsonl"
	expect 0 train -t "$P" --until end $model $options
	"$S4REC" load -t "$P" "$TMP/second.jsonl" >"$TMP/load.log" 2>&1
	dies_at commit.after_end:15 --state.flush.ms 3600000 $options
	gone
	accepted $options
	"$S4REC" load -t "$P" "$TMP/second.jsonl" >"$TMP/load.log" 2>&1
	expect 0 train -t "$P" --until end $model $options
	expect 0 read -e --vectors 0 -t "$P"
done

# Nobody can see who was forgotten in what is lost of a model that nobody sees. Where no step is lost, nobody was.
P=${PREFIX}_hidden backfill='--from beginning'
load "$P" "$TMP/all.jsonl"
dies_at commit.after_end:6 --state.flush.ms 3600000 $backfill
dies_at flush.settled $backfill
dies_at commit.after_end:6 --state.flush.ms 3600000 $backfill
gone
expect 65 train -t "$P" --until end --accept-gap $model $backfill
says 'has published nothing yet'; says '--model.id'
P=${PREFIX}_untrained
load "$P" "$TMP/all.jsonl"
dies_at commit.after_end:6 --state.flush.ms 3600000 $backfill
DELAY_POINT=replay.done dies_at flush.settled $backfill
gone
accepted $backfill

# The state is from before the release; a user forgotten behind it must not come back.
P=${PREFIX}_released
load "$P" "$TMP/first.jsonl"
dies_at flush.settled:2 --state.flush.ms 1 $backfill
user=$(sed -n '1s/.*"user_id":"\([^"]*\)".*/\1/p' "$TMP/first.jsonl")
echo "!forget $user" >"$TMP/forget"
"$S4REC" load -t "$P" "$TMP/forget" >"$TMP/load.log" 2>&1
dies_at stop.committed --state.flush.ms 3600000 $backfill
gone
accepted $backfill
! grep -qF "\"key\":\"user/$user\"" "$TMP/out.log" || grep -F "\"key\":\"user/$user\"" "$TMP/out.log" | tail -n 1 | grep -q '"deleted":true' || fail "user $user is back"
echo "ok $NAME"
