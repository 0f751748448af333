#!/bin/sh
# Forgetting: the null record acts in the order of the log, readers get the delete, later events begin a new user; dead letters without a byte of the
# record; and a model made anew from the log is, to the bit, that of a log without what was forgotten, killed or not.
# not with sanitizers: long
# shellcheck disable=SC2046,SC2086
. "$(dirname "$0")/lib.sh"
model=$(small | sed 's/--commit.steps [0-9]* //')
A=$PREFIX

# 1. the command: users go, and come back as new ones
stream "$TMP/events.jsonl" 3000
load "$A" "$TMP/events.jsonl"
expect 64 forget; says 'name the users to forget'
expect 64 forget "$(printf '%0300d' 1)"; says 'an id has 1 to id.max.bytes=256 bytes'
expect 0 train --until end $(small --dlq.payload off)
"$TOOL" dump "$A.dlq" >"$TMP/dlq"
[ "$(wc -l <"$TMP/dlq")" = "$bad" ] || fail "dead letters are missing"
! grep -q 'garbage\|!raw\|"item_id"' "$TMP/dlq" || fail "a dead letter keeps the record"
grep -q 's4rec.truncated=' "$TMP/dlq" || fail "a dead letter does not say how long the record was"
grep -a '"user_id"' "$TMP/events.jsonl" | sed 's/.*"user_id":"\([^"]*\)".*/\1/' | sort | uniq -c | sort -rn | awk '{ print $2 }' >"$TMP/users"
set -- $(head -3 "$TMP/users")
for u in "$1" "$2" "$3"; do view "$A" | grep -q "\"key\":\"user/$u\"" || fail "$u has no row"; done
expect 0 forget "$1" "$2" "$3"; says '3 null records are in'
printf '{"user_id":"%s","item_id":"i1","event_time_ms":1772000000000}\n' "$2" >"$TMP/back.jsonl"
"$S4REC" load "$TMP/back.jsonl" >"$TMP/load.log" 2>&1
expect 0 train --until end $(small)
view "$A" >"$TMP/view"
for u in "$1" "$3"; do
	! grep -q "\"key\":\"user/$u\"" "$TMP/view" || fail "$u is still there"
	raw "$A" | grep -q "\"key\":\"user/$u\",\"deleted\":true" || fail "no delete of $u"
done
grep -q "\"key\":\"user/$2\"" "$TMP/view" || fail "$2 came back and has no row"
expect 0 verify $model; prints "equal: $A"

# 2. a log with forgets in the middle and at the end; some users came back. And the same log without all that was forgotten
R=${PREFIX}_r W=${PREFIX}_w
"$S4REC" generate --events 5000 --users 200 --items 80 --interests 4 --malformed 0.01 --duplicates 0 --late 0 >"$TMP/all.jsonl" 2>"$TMP/gen.log"
grep -a '"user_id"' "$TMP/all.jsonl" | sed 's/.*"user_id":"\([^"]*\)".*/\1/' | sort -u >"$TMP/users"
sed -n '1~5p' "$TMP/users" | sed 's/^/!forget /' >"$TMP/middle"; sed -n '2~9p' "$TMP/users" | sed 's/^/!forget /' >"$TMP/end"
{ sed -n '1,3000p' "$TMP/all.jsonl"; cat "$TMP/middle"; sed -n '3001,5000p' "$TMP/all.jsonl"; cat "$TMP/end"; } >"$TMP/with.jsonl"
awk '{ user = "" } /^!forget / { user = substr($0, 9); forget = 1 } !/^!/ { match($0, /"user_id":"[^"]*"/); user = substr($0, RSTART + 11, RLENGTH - 12); forget = 0 }
	/^!raw/ { keep[NR] = $0; next }
	forget { for (i in of) if (of[i] == user) { delete keep[i]; delete of[i] } next }
	{ keep[NR] = $0; of[NR] = user }
	END { for (i = 1; i <= NR; i++) if (i in keep) print keep[i] }' "$TMP/with.jsonl" >"$TMP/without.jsonl"
[ "$(wc -l <"$TMP/without.jsonl")" -lt 4500 ] || fail "too little was forgotten: $(wc -l <"$TMP/without.jsonl") of 5000 are left"
load "$R" "$TMP/with.jsonl"; load "$W" "$TMP/without.jsonl"
expect 0 train -t "$R" --until end $(small)
expect 78 forget --rebuild -t "$R" $(small); says 'name it with --model.id'
expect 64 forget --rebuild -t "$R" anna $(small); says '--rebuild takes no users'
expect 0 topics create -t "$R.clean" --input.topic "$R.interactions"
expect 0 train -t "$W" --from beginning --model.id clean --until end --epochs 2 $(small)
view "$W" >"$TMP/w.view"; [ "$(wc -l <"$TMP/w.view")" -gt 200 ] || fail "hardly any rows"
expect 0 export "$TMP/w.model" -t "$W" --model.id clean $model

expect 0 forget --rebuild -t "$R" --model.id clean --epochs 2 $(small)
says 'users were forgotten in'; says 'caught up'
same_view "$TMP/w.view" "$R.clean" "made anew"
expect 0 export "$TMP/r.model" -t "$R" --model.id clean $model
cmp "$TMP/r.model" "$TMP/w.model" >&2 || fail "the weights are not those of a log without what was forgotten"
expect 0 verify -t "$R.clean" --model.id clean --input.topic "$R.interactions" $model; prints "equal: $R.clean"

# 3. the same, killed all along, with forgets that come meanwhile: they act in their place, as in any log
K=${PREFIX}_k
load "$K" "$TMP/with.jsonl"
expect 0 train -t "$K" --until end $(small)
expect 0 topics create -t "$K.clean" --input.topic "$K.interactions"
hits=0
for s in 0.3 0.5 0.7 0.9 1.1; do
	start "$TMP/kill.log" forget --rebuild -t "$K" --model.id clean --epochs 2 --state.flush.ms 100 $(small)
	sleep "$s"; kill -9 "$pid" 2>/dev/null && hits=$((hits + 1)); wait "$pid" || :
	[ -z "$("$S4REC" read -e -t "$K.clean" 2>/dev/null | head -1)" ] || [ "$s" != 0.3 ] || fail "rows before it has caught up"
done
[ "$hits" -ge 2 ] || fail "killed only $hits times"
expect 0 forget --rebuild -t "$K" --model.id clean --epochs 2 $(small)
same_view "$TMP/w.view" "$K.clean" "killed"
# what comes behind is learned as ever, also a forget
again=$(sed -n '4p' "$TMP/users")
expect 0 forget "$again" -t "$K"
expect 0 train -t "$K" --model.id clean --until end $(small)
! view "$K.clean" | grep -q "\"key\":\"user/$again\"" || fail "$again is still there"
echo "ok $NAME"
