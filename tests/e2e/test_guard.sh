#!/bin/sh
# What is served is protected: an exploding step is not applied, and a model that has become worse than popularity is not published.
# not with sanitizers: kills in a short time
. "$(dirname "$0")/lib.sh"

export S4REC_WEIGHT_MAX=1000000
# one partition: what a reader sees stands in the order in which it was written
one() { "$S4REC" topics create -t "$1" --partitions 1 >"$TMP/create.log"; }
fill() { "$S4REC" load -t "$1" "$2" >"$TMP/load.log" 2>&1 || fail "cannot load $2"; }
rows() { raw "$1" | grep -v '^{"key":"model"'; }
same_topic() { # A B WHAT: every row, delete and version record that was ever published, but for clocks
	for part in rows versions; do
		if [ $part = rows ]; then rows "$1" >"$TMP/1"; rows "$2" >"$TMP/2"; else raw "$1" | versions >"$TMP/1"; raw "$2" | versions >"$TMP/2"; fi
		cmp -s "$TMP/1" "$TMP/2" || fail "$3: $(diff "$TMP/1" "$TMP/2" | grep -c '^[<>]') $part differ"
	done
}
generate() { "$S4REC" generate --events "$1" --users 300 --items 80 --interests 4 --malformed 0 --duplicates 0 --late 0 2>"$TMP/gen.log"; }
# to its end, killed each time that the log says TEXT for another time
killed() { # PREFIX TEXT TIMES OPTIONS...
	prefix=$1 text=$2 times=$3 hits=0; shift 3
	while [ "$hits" -lt "$times" ]; do
		start "$TMP/killed.log" train -t "$prefix" --until end --progress.ms 100 --state.flush.ms 0 $(small "$@")
		while kill -0 "$pid" 2>/dev/null && ! logged "$text" "$TMP/killed.log"; do sleep 0.01; done
		logged "$text" "$TMP/killed.log" || break
		sleep "0.$((hits * 12))" # at first before that commit is there to be seen, later after it
		kill -9 "$pid" 2>/dev/null || :
		wait "$pid" || :
		hits=$((hits + 1))
		[ -z "${AFTER_KILL:-}" ] || $AFTER_KILL
	done
	expect 0 train -t "$prefix" --until end $(small "$@")
}

# 1. an event that outweighs everything: its steps are discarded, and the rows are those of a run that was killed right after
generate 4000 | sed '3000s/}$/,"weight":1000000}/' >"$TMP/heavy.jsonl"
heavy="--guard.factor 50"
A=${PREFIX}_a; one "$A"; fill "$A" "$TMP/heavy.jsonl"
# shellcheck disable=SC2086
expect 0 train -t "$A" --until end $(small $heavy)
says ' discarded: loss='
says ' events=4000 '
B=${PREFIX}_b; one "$B"; fill "$B" "$TMP/heavy.jsonl"
# shellcheck disable=SC2086
killed "$B" ' discarded: ' 3 $heavy
[ "$hits" -ge 2 ] || fail "only $hits kills after a discard"
same_topic "$A" "$B" "killed $hits times after a discard"
O=${PREFIX}_o; one "$O"; fill "$O" "$TMP/heavy.jsonl"
expect 0 train -t "$O" --until end $(small --guard.factor 0)
! grep -q discarded "$TMP/err.log" || fail "guard.factor=0 discards"

# 2. a good stream, then one that says nothing (items at random, some more than others), then the good one again; in between a user is forgotten
generate 9000 | awk 'BEGIN { srand(7) }
	NR > 6000 && NR <= 6900 { sub(/"item_id":"i[0-9]+"/, "\"item_id\":\"i" int(80 * rand() * rand() * rand()) "\"") } { print }' >"$TMP/all.jsonl"
gone=$(sed -n '1,3000s/.*"user_id":"\([^"]*\)".*/\1/p' "$TMP/all.jsonl" | LC_ALL=C sort | uniq -c | LC_ALL=C sort -k1,1nr -k2 | awk 'NR == 1 { print $2 }')
sed -n '1,6600p' "$TMP/all.jsonl" >"$TMP/1.jsonl"; sed -n '6601,$p' "$TMP/all.jsonl" | grep -v "\"user_id\":\"$gone\"" >"$TMP/2.jsonl"
story() { one "$1"; fill "$1" "$TMP/1.jsonl"; "$TOOL" produce "$1.interactions" 0 "$gone" - >"$TMP/tool.log"; fill "$1" "$TMP/2.jsonl"; }
hold="--eval.window 400 --guard.hold 200 --commit.steps 1" # a commit each step: the time while it is held must be long enough to kill in
H=${PREFIX}_h; story "$H"
# shellcheck disable=SC2086
expect 0 train -t "$H" --until end $(small $hold)
[ "$(grep -c 'publishing is held: ' "$TMP/err.log") $(grep -c 'publishing goes on: ' "$TMP/err.log")" = '1 1' ] || unexpected "held and released once each"
expect 0 read -e -t "$H"; mv "$TMP/out.log" "$TMP/h.rows"; says 'complete: '
! grep -q '^held' "$TMP/err.log" || fail "held at the end"
awk -F'"' -v gone="user/$gone" '
	$4 == "model" { v++; if (/"held":true/) { held++; if (n > deletes) bad = 1; if (deletes && held_delete == 0) held_delete = v } else if (held && !after) after = n; n = deletes = 0; next }
	/"deleted":true/ { deletes++; if ($4 != gone) bad = 2 }
	{ n++ }
	END { printf "%d versions held, a delete among them: %d, rows at the end: %d\n", held, (held_delete > 0), after; exit bad || held < 3 || !held_delete || after < 300 }' "$TMP/h.rows" ||
	fail "rows were published while held, or not after it"

# 3. killed while it is held: it stays held, and ends with every byte of the run that was left alone
look() { # a reader meanwhile
	expect 0 read -e -t "$K"
	grep -q '^held: the model is worse than popularity (ndcg20=' "$TMP/err.log" || return 0
	seen=$((seen + 1))
	expect 0 query item i1 -t "$K"; says 'held: the model is worse than popularity'
}
K=${PREFIX}_k seen=0; story "$K"
# shellcheck disable=SC2086
AFTER_KILL=look killed "$K" 'publishing is held: ' 4 $hold
[ "$hits" -ge 2 ] && [ "$seen" -ge 1 ] || fail "killed $hits times while held, seen by a reader $seen times"
same_topic "$H" "$K" "killed $hits times while held"
echo "ok $NAME"
