#!/bin/sh
# Input that retention removed behind the state: an error that names the choices; with --accept.gap the worker goes on from the state, readers
# get all rows again and lose those that it does not know, and no later start sees the gap again.
# not with sanitizers: long
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2086
model=$(small | sed 's/--commit.steps [0-9]* //') # what the model depends on
unflushed="--state.flush.ms 3600000 --progress.ms 100"
versions_of() { raw "$1" | sed -n 's/^{"key":"model",.*"version":\([0-9]*\),.*/\1/p' | sort -nu; }
newest() { "$S4REC" read -e -t "$1" --vectors 0 2>/dev/null | grep '^{"key":"model",' | sort -t: -k4 -n | tail -n 1; }
field() { newest "$1" | sed -n "s/.*\"$2\":\([0-9]*\)[,}].*/\1/p"; }
gone() { for p in 0 1 2 3; do "$TOOL" delete-records "$1.interactions" "$p" -1; done; }
complete() {
	view "$1" >"$TMP/now.view"
	! grep -qi 'incomplete' "$TMP/view.log" || fail "$1: $(cat "$TMP/view.log")"
	[ "$(versions_of "$1" | awk '$1 != NR { print "gap" }' | head -n 1)" = '' ] || fail "$1: versions are missing"
}
killed_behind() { # killed_behind PREFIX EVENTS: after so many were learned, and some of them committed
	# shellcheck disable=SC2086
	start "$TMP/killed.log" train -t "$1" --until end $(small $unflushed)
	eventually 60 logged " train events=$2" "$TMP/killed.log"
	kill -KILL "$pid" 2>/dev/null; ends "$pid" 137
}

# a state, then commits behind it that no flush holds: new users, new items, a user forgotten
stream "$TMP/events.jsonl" 6000
head -n 2000 "$TMP/events.jsonl" >"$TMP/first.jsonl"
now=1767225600000 # the first second of the stream
{
	echo '!forget u1'; echo '!forget u2'
	awk -v now="$now" 'BEGIN { for (i = 0; i < 200; i++) printf "{\"user_id\":\"late%d\",\"item_id\":\"new%d\",\"event_time_ms\":%s}\n", i % 20, i % 7, now }'
	tail -n 4000 "$TMP/events.jsonl" | grep -v '"user_id":"u[12]"'
} >"$TMP/second.jsonl"
lost() {
	load "$1" "$TMP/first.jsonl"
	expect 0 train -t "$1" --until end $(small)
	view "$1" | grep -q '"key":"user/u1"' || fail "user u1 was not published"
	"$S4REC" load -t "$1" "$TMP/second.jsonl" >"$TMP/load.log" 2>&1
	killed_behind "$1" '[3-9][0-9][0-9][0-9]'
	gone "$1"
}
A=${PREFIX}_a; lost "$A"
base=$(sed -n 's/.*state flushed: step=\([0-9]*\).*/\1/p' "$TMP/err.log" | tail -n 1)
last=$(field "$A" step); version=$(field "$A" version)
view "$A" >"$TMP/before.view"
grep -q '"key":"user/late1"' "$TMP/before.view" || fail "nothing of the second part was published"
! grep -q '"key":"user/u1"' "$TMP/before.view" || fail "u1 was not forgotten"

# 1. without the option: what is missing, and the choices; nothing is written
raw "$A" >"$TMP/before"; "$TOOL" dump "$A.batches" >"$TMP/cuts"
expect 65 train -t "$A" --until end $(small)
says "input is gone: $A.interactions ["; says '--accept.gap'; says 'topic.prefix'
raw "$A" | cmp -s - "$TMP/before" || fail "a refused start published something"
"$TOOL" dump "$A.batches" | cmp -s - "$TMP/cuts" || fail "a refused start wrote cuts"

# 2. accepted; killed at any moment of it, all of the gap is there or nothing
tries=0 hits=0
while [ "$tries" -lt 6 ]; do
	start "$TMP/gap.log" train -t "$A" --until end --accept-gap $(small)
	sleep "0.$((3 + tries))"
	tries=$((tries + 1))
	kill -KILL "$pid" 2>/dev/null || :
	code=0; wait "$pid" || code=$?
	[ "$code" = 137 ] || [ "$code" = 0 ] || fail "exit $code: $(cat "$TMP/gap.log")"
	[ "$code" = 0 ] || hits=$((hits + 1))
	gaps=$(field "$A" gaps)
	if [ "$gaps" = 0 ]; then raw "$A" | cmp -s - "$TMP/before" || fail "half of a gap is there"; else break; fi
done
[ "$gaps" != 0 ] || expect 0 train -t "$A" --until end --accept-gap $(small)
[ "$(field "$A" gaps) $(field "$A" gap_base) $(field "$A" gap_step) $(field "$A" step) $(field "$A" version)" = "1 $base $((last + 1)) $((last + 1)) $((version + 1))" ] ||
	fail "base $base, lost up to $last, version $version; the version record says: $(newest "$A")"
complete "$A"
! grep -q '"key":"user/late' "$TMP/now.view" || fail "users of the lost part are still there"
! grep -q '"key":"item/new' "$TMP/now.view" || fail "items of the lost part are still there"
! grep -q '"key":"user/u[12]"' "$TMP/now.view" || fail "who was forgotten in the lost part is back"
[ "$(grep -c '"version":'$((version + 1))[,}] "$TMP/now.view")" = "$(wc -l <"$TMP/now.view")" ] || fail "not all rows were published again"

# 3. later starts need no option, and training goes on
expect 0 train -t "$A" --until end $(small)
! grep -q ' replaying ' "$TMP/err.log" || fail "a start behind the gap replays"
expect 69 verify -t "$A" $model
says 'nothing to compare'
"$S4REC" load -t "$A" "$TMP/second.jsonl" >"$TMP/load.log" 2>&1
killed_behind "$A" '[3-9][0-9][0-9][0-9]' # and is replayed from the state of the gap
expect 0 train -t "$A" --until end $(small)
complete "$A"
[ "$(field "$A" gaps)" = 1 ] || fail "gaps=$(field "$A" gaps)"
expect 0 verify -t "$A" $model # from the state that the replay has left, along the cuts behind it: the same bits
prints "equal: $A, steps "

# 4. what comes after the gap is learned
grep -q '"key":"user/late1"' "$TMP/now.view" || fail "the later events were not learned"

# 5. events that were never trained: nothing is lost but they
"$S4REC" load -t "$A" "$TMP/first.jsonl" >"$TMP/load.log" 2>&1
gone "$A"
expect 65 train -t "$A" --until end $(small)
expect 0 train -t "$A" --until end --accept-gap $(small)
says ' 0 steps behind it are lost'
[ "$(field "$A" gaps)" = 2 ] || fail "gaps=$(field "$A" gaps)"
complete "$A"

# 6. no state yet: the model begins anew, and readers lose all that was published
C=${PREFIX}_c; load "$C" "$TMP/events.jsonl"
killed_behind "$C" '[2-9][0-9][0-9][0-9]'
gone "$C"
expect 65 train -t "$C" --until end $(small)
says 'input is gone'
expect 0 train -t "$C" --until end --accept-gap $(small)
says 'from the state of step 0'
complete "$C"
[ "$(grep -cv '"key":"prototype/' "$TMP/now.view")" = 0 ] || fail "rows of a lost model are still there"
"$S4REC" load -t "$C" "$TMP/first.jsonl" >"$TMP/load.log" 2>&1
expect 0 train -t "$C" --until end $(small)
complete "$C"
echo "ok $NAME: $hits kills"
