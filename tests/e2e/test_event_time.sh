#!/bin/sh
# Event time: what comes late finds its place or is refused, what comes twice trains once, what comes from the future is refused or clamped, and in
# which order partitions are delivered decides nothing. All of it survives kills.
# not with sanitizers: kills at random places; the code is that of train and state
# shellcheck disable=SC2086
. "$(dirname "$0")/lib.sh"

# 1. known answers: 8 users, each with events at seconds 100, 200, 300 ...
base=1767225600 # 2026-01-01
K=${PREFIX}_k; "$S4REC" topics create -t "$K" --partitions 2 >"$TMP/create.log" 2>&1
# line USER SECOND ITEM ID: a record for `feed`, received long after
line() { echo "$(($1 % 2)) $(date +%s)000 u$1 {\"item_id\":\"i$3\",\"event_time_ms\":$((base + $2))000,\"event_id\":\"$4\"}"; }
{
	for user in 0 1 2 3 4 5 6 7; do for k in 1 2 3 4; do line $user $((k * 100)) $(((user + k) % 10)) "u$user-$k"; done; done
	line 0 250 20 late-in-time # 150 s before the newest
	line 1 339 21 late-60      # more than 60 s: refused below
	line 2 100 3 u2-1          # twice
	line 3 500 4 u3-4          # the id counts, not what else it says
	line 4 400 5 u2-1          # of another user: another event
} >"$TMP/known"
"$TOOL" feed "$K.interactions" <"$TMP/known"
expect 0 train -t "$K" --until end --lateness.ms 200000 --eval.out "$TMP/k.eval" $(small --commit.steps 1 --batch.users 2)
says " events=35 "; says " late=0 duplicates=2 "
awk -F'\t' '$2 == "late-in-time" { n++ } $2 == "u2-1" { m++ } END { exit n != 1 || m > 1 }' "$TMP/k.eval" || fail "the late event was not scored once, or a copy was"
expect 0 verify -t "$K" --lateness.ms 200000 $(small --batch.users 2 | sed 's/--commit.steps [0-9]* //')
prints "equal: $K"
for how in dlq drop; do
	D=${PREFIX}_$how; "$S4REC" topics create -t "$D" --partitions 2 >"$TMP/create.log" 2>&1
	"$TOOL" feed "$D.interactions" <"$TMP/known"
	expect 0 train -t "$D" --until end --lateness.ms 60000 --late.events $how $(small)
	says " late="; [ $how = drop ] || lates=$(sed -n 's/.* stopped .*//; s/.* dead_letters=\([0-9]*\) late=\([0-9]*\) .*/\1 \2/p' "$TMP/err.log" | tail -n 1)
	if [ $how = dlq ]; then
		[ "$lates" = '2 2' ] || fail "dead letters and late events: $lates"
		dead_letters "$D" 2
		[ "$(grep -c 's4rec.reason=late' "$TMP/dlq")" = 2 ] || { cat "$TMP/dlq" >&2; fail "the dead letters do not say why"; }
	else
		says " dead_letters=0 late=2 duplicates=2 "
		dead_letters "$D" 0
	fi
done

# 2. the future
for how in refuse clamp; do
	F=${PREFIX}_$how; "$S4REC" topics create -t "$F" --partitions 1 >"$TMP/create.log" 2>&1
	{ line 0 100 1 a; line 0 200 2 b; line 0 4000000000 3 c; } | sed 's/^. /0 /' | "$TOOL" feed "$F.interactions"
	expect 0 train -t "$F" --until end --time.future $how $(small)
	[ $how = refuse ] && { says ' events=2 '; says ' dead_letters=1 '; } || { says ' events=3 '; says ' dead_letters=0 '; says ' clamped=1'; }
done

# 3. two partitions, one delivered long before the other, and the other way round: the same order, live too
"$S4REC" generate --events 3000 --users 300 --items 80 --interests 4 --malformed 0 --duplicates 0.02 --late 0.05 2>"$TMP/gen.log" >"$TMP/events.jsonl"
awk -F'"' '{ for (i = 2; i < NF; i += 2) if ($i == "user_id") user = $(i + 2); p = substr(user, length(user)) % 2; print p, "1767225600000", user, $0 }' "$TMP/events.jsonl" >"$TMP/both"
for order in 01 10; do
	O=${PREFIX}_o$order; "$S4REC" topics create -t "$O" --partitions 2 >"$TMP/create.log" 2>&1
	for p in $(echo $order | sed 's/./& /g'); do grep "^$p" "$TMP/both" | "$TOOL" feed "$O.interactions"; done
	expect 0 train -t "$O" --until end --cut live --linger.ms 3000 --time.future.max.ms 100000000000 --eval.out "$TMP/$order.eval" $(small)
	says ' lag=0 '
done
[ "$(wc -l <"$TMP/01.eval")" -gt 2000 ] || fail "too few scores to compare: $(wc -l <"$TMP/01.eval")"
cmp "$TMP/01.eval" "$TMP/10.eval" || fail "the order of arrival decides"

# live, one that has run dry is waited for, but not for ever: an earlier event of it, delivered a second later, goes first; then it is idle
I=${PREFIX}_i; "$S4REC" topics create -t "$I" --partitions 2 >"$TMP/create.log" 2>&1
{ line 0 100 1 first-0; line 1 110 2 first-1; } | "$TOOL" feed "$I.interactions"
start "$TMP/idle.log" train -t "$I" --idle.ms 6000 --linger.ms 1 --commit.ms 1 --progress.ms 100 --eval.out "$TMP/idle.eval" $(small)
eventually 30 logged ' train events=2 ' "$TMP/idle.log"
line 0 300 3 later | "$TOOL" feed "$I.interactions"
sleep 1
line 1 200 4 earlier | "$TOOL" feed "$I.interactions"
eventually 30 logged ' train events=4 ' "$TMP/idle.log"
kill -TERM "$pid"; ends "$pid" 0
[ "$(awk -F'\t' 'NR > 1 { printf "%s ", $2 }' "$TMP/idle.eval")" = 'earlier later ' ] || fail "the merge did not wait: $(cat "$TMP/idle.eval")"

# 4. killed anywhere: late, repeated and refused events end as in an undisturbed run
"$S4REC" generate --events 5000 --users 300 --items 80 --interests 4 --malformed 0.01 --duplicates 0.03 --late 0.1 >"$TMP/some.jsonl" 2>"$TMP/gen.log"
A=${PREFIX}_a; load "$A" "$TMP/some.jsonl"
narrow="--lateness.ms 3000 --targets new"
expect 0 train -t "$A" --until end --eval.out "$TMP/a.eval" $(small $narrow)
bad=$(sed -n 's/.* dead_letters=\([0-9]*\) .*/\1/p' "$TMP/err.log" | tail -n 1)
sed -n 's/.* late=\([0-9]*\) duplicates=\([0-9]*\) .*/\1 \2/p' "$TMP/err.log" | tail -n 1 | { read -r late twice; [ "$late" -gt 5 ] && [ "$twice" -gt 50 ] || fail "late $late, twice $twice: too few to tell"; }
view "$A" >"$TMP/a.view"
B=${PREFIX}_b; load "$B" "$TMP/some.jsonl"
again "$B" KILL 5 --eval.out "$TMP/b.eval" $narrow
same_view "$TMP/a.view" "$B" "after $hits kills"
cmp "$TMP/a.eval" "$TMP/b.eval" || fail "after $hits kills eval.out differs"
expect 0 verify -t "$B" $(small $narrow | sed 's/--commit.steps [0-9]* //')
prints "equal: $B"
echo "ok $NAME: $hits kills"
