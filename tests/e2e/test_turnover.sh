#!/bin/sh
# Items and users that come and go: admitted, published, expired and evicted; readers get the deletes; kills, restores, files and an audit agree.
# not with sanitizers: minutes; the unit tests of expiry run there
# shellcheck disable=SC2086
. "$(dirname "$0")/lib.sh"

# the number that a log's last status line has behind NAME=
last() { sed -n "s/.* $1=\([0-9]*\).*/\1/p" "$2" | tail -n 1; }
# 5000 events in 1000 s: at any time 60 items are alive, each for some 100 s; a user comes for some 100 s, and some never leave
awk 'BEGIN { srand(1); for (e = 0; e < 5000; e++) {
	ms = 1767225600000 + e * 200; item = int(e / 10 + rand() * rand() * 60); user = rand() < .1 ? "old" int(rand() * 10) : "u" int(e / 20 + rand() * 30)
	printf "{\"user_id\":\"%s\",\"item_id\":\"i%d\",\"event_time_ms\":%.0f,\"event_id\":\"e%d\"}\n", user, item, rand() < .1 ? ms - int(rand() * 60000) : ms, rand() < .02 ? e - 5 : e
	} }' >"$TMP/events.jsonl"
rules="--item.ttl.ms 100000 --user.ttl.ms 200000 --admit.count 2 --admit.cells 4096 --min.count 3 --item.context 0.3 --max.items 100 --max.users 300 --loss sampled --negatives 16"
model="$(small $rules | sed 's/--commit.steps [0-9]* //')"

# 1. undisturbed: it stays at its limit, and readers see no more than what is alive
A=${PREFIX}_a; load "$A" "$TMP/events.jsonl"
expect 0 train -t "$A" --until end --progress.ms 100 --eval.out "$TMP/a.eval" $(small $rules)
items=$(last items "$TMP/err.log") users=$(last users "$TMP/err.log") bad=$(last dead_letters "$TMP/err.log")
[ "$(last expired_items "$TMP/err.log")" -gt 200 ] && [ "$(last expired_users "$TMP/err.log")" -gt 100 ] && [ "$(last unadmitted "$TMP/err.log")" -gt 100 ] ||
	unexpected "hardly anything came and went"
sed -n 's/.* items=\([0-9]*\) users=\([0-9]*\).*/\1 \2/p' "$TMP/err.log" | awk '$1 > 100 || $2 > 300 { exit 1 }' || unexpected "above its limit"
view "$A" >"$TMP/a.view"
! grep -qi incomplete "$TMP/view.log" || fail "the view is not complete"
shown=$(grep -c '"key":"item/' "$TMP/a.view")
[ "$shown" -le "$items" ] && [ "$shown" -gt 10 ] || fail "$shown item rows of $items items"
[ "$(grep -c '"key":"user/' "$TMP/a.view")" -le "$users" ] || fail "more user rows than users"
! grep -q '"key":"item/i5"' "$TMP/a.view" || fail "an item of the first second is still there"
raw "$A" | grep '"key":"item/i[0-9]*",.*"deleted":true' | wc -l | awk '$1 < 100 { exit 1 }' || fail "too few deletes of items"
expect 0 verify -t "$A" --from beginning $model
prints "equal: $A, steps 1 to "

# 2. killed anywhere, with few and with many flushes
for flush in 60000 100; do
	B=${PREFIX}_b$flush; load "$B" "$TMP/events.jsonl"
	again "$B" KILL 4 --state.flush.ms $flush --eval.out "$TMP/b.eval" $rules
	same_view "$TMP/a.view" "$B" "after $hits kills"
	cmp "$TMP/a.eval" "$TMP/b.eval" || fail "after $hits kills eval.out differs"
	expect 0 verify -t "$B" $model
	prints "equal: $B"
done

# 3. a file of it begins another model, which goes on
expect 0 export "$TMP/model.s4rec" -t "$A" $model
C=${PREFIX}_c; load "$C" "$TMP/events.jsonl"
expect 0 import "$TMP/model.s4rec" -t "$C" $model
expect 0 train -t "$C" --until end $(small $rules)
expect 0 verify -t "$C" --from "$TMP/model.s4rec" $model
prints "equal: $C"
expect 0 rollback "$TMP/model.s4rec" -t "$C" $model
"$S4REC" load -t "$C" "$TMP/events.jsonl" >"$TMP/load.log" 2>&1
expect 0 train -t "$C" --until end $(small $rules)
view "$C" >"$TMP/c.view"
! grep -qi incomplete "$TMP/view.log" || fail "the view is not complete after a rollback"

# 4. a standby that has followed what came and went takes over
S=${PREFIX}_s; head -n 3000 "$TMP/events.jsonl" >"$TMP/first.jsonl"; load "$S" "$TMP/first.jsonl"
follow="--linger.ms 100 --commit.ms 200 --state.flush.ms 100 --progress.ms 100 --election.timeout.ms 6000"
start "$TMP/lead.log" train -t "$S" $follow $(small $rules); lead=$pid
eventually 60 logged ' expired_items=[1-9][0-9]' "$TMP/lead.log"
start "$TMP/stand.log" train -t "$S" $follow $(small $rules)
eventually 60 logged 'standing by' "$TMP/stand.log"
sed -n '3001,5000p' "$TMP/events.jsonl" >"$TMP/second.jsonl"
"$S4REC" load -t "$S" "$TMP/second.jsonl" >"$TMP/load.log" 2>&1
eventually 60 logged ' expired_items=[3-9][0-9][0-9]' "$TMP/lead.log"
kill -KILL "$lead"; ends "$lead" 137
head -n 500 "$TMP/events.jsonl" | sed 's/:17672\([0-9]*\),/:17673\1,/; s/"event_id":"/&again-/' >"$TMP/third.jsonl" # a day later: all of before goes
"$S4REC" load -t "$S" "$TMP/third.jsonl" >"$TMP/load.log" 2>&1
eventually 60 logged 'replay done' "$TMP/stand.log"
kill -TERM "$pid"; ends "$pid" 0
! logged ' error ' "$TMP/stand.log" || fail "the standby complains: $(grep ' error ' "$TMP/stand.log")"
! logged 'reading all of it anew' "$TMP/stand.log" || fail "what the standby followed did not add up"
expect 0 train -t "$S" --until end $(small $rules)
[ "$(last items "$TMP/err.log")" -lt 100 ] || fail "what is a day old is still there"
expect 0 verify -t "$S" $model
prints "equal: $S"
view "$S" >"$TMP/s.view"
! grep -qi incomplete "$TMP/view.log" || fail "the view is not complete after a take-over"

# 5. without the rules nothing goes
N=${PREFIX}_n; load "$N" "$TMP/events.jsonl"
expect 0 train -t "$N" --until end $(small)
says ' unadmitted=0 '; says ' expired_items=0 expired_users=0'

# 6. a user who was trained, and whose items have all been pushed out by unadmitted ones before the commit
awk 'BEGIN { for (e = 0; e < 40; e++) printf "{\"user_id\":\"u\",\"item_id\":\"%s\",\"event_time_ms\":%d000}\n", e < 4 ? "known" e % 2 : "once" e, 1767225600 + e }' >"$TMP/pushed.jsonl"
O=${PREFIX}_o; load "$O" "$TMP/pushed.jsonl"
expect 0 train -t "$O" --until end $(small --admit.count 2 --batch.events 4 --commit.steps 8)
expect 0 read -e --vectors 0 -t "$O"

# 7. the same where readers have the user's row: when all rows are due, that one goes, since there is nothing to encode it from
head -n 4 "$TMP/pushed.jsonl" >"$TMP/first.jsonl"; tail -n +5 "$TMP/pushed.jsonl" >"$TMP/rest.jsonl"
R=${PREFIX}_r pushed="--admit.count 2 --batch.events 4"; load "$R" "$TMP/first.jsonl"
expect 0 train -t "$R" --until end $(small $pushed)
"$S4REC" load -t "$R" "$TMP/rest.jsonl" >"$TMP/load.log" 2>&1
expect 0 train -t "$R" --until end $(small $pushed)
view "$R" | grep -q '"key":"user/u"' || fail "the user's row is gone already"
"$TOOL" delete-topic "$R.embeddings"; expect 0 topics create -t "$R"
expect 0 train -t "$R" --until end $(small $pushed)
expect 0 read -e --vectors 0 -t "$R"; says 'complete: '
expect 0 verify -t "$R" $(small $pushed | sed 's/--commit.steps [0-9]* //')
echo "ok $NAME: $shown item rows, $items items, $users users"
