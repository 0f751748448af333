#!/bin/sh
# `rollback`: an exported model again, in a new space; all rows are published once more, as they are when readers have lost theirs.
# not with sanitizers: long
. "$(dirname "$0")/lib.sh"

"$S4REC" generate --events 6000 --users 300 --items 80 --interests 4 --malformed 0 --duplicates 0 --late 0 2>"$TMP/gen.log" >"$TMP/all.jsonl"
sed -n '1,3000p' "$TMP/all.jsonl" >"$TMP/1.jsonl"
# items that only come later, some of which stay
sed -n '3001,4000p' "$TMP/all.jsonl" | sed 's/"item_id":"i\([0-9]\)"/"item_id":"new\1"/' >"$TMP/2.jsonl"
sed -n '4001,6000p' "$TMP/all.jsonl" >"$TMP/3.jsonl"
for option in $(small --eval.out "$TMP/ranks"); do
	case $option in --*) printf '%s=' "${option#--}" ;; *) echo "$option" ;; esac
done >"$TMP/s4rec.properties"
export S4REC_CONFIG="$TMP/s4rec.properties"
fill() { "$S4REC" load -t "$1" "$2" >"$TMP/load.log" 2>&1 || fail "cannot load $2"; }
same_file() { cmp "$1" "$2" >&2 || fail "$3: the files differ"; }
before() { # PREFIX: trained, exported, trained on
	expect 0 topics create -t "$1"
	fill "$1" "$TMP/1.jsonl"; expect 0 train -t "$1" --until end; rm -f "$TMP/ranks"
	expect 0 export "$TMP/good.model" -t "$1"
	fill "$1" "$TMP/2.jsonl"; expect 0 train -t "$1" --until end; rm -f "$TMP/ranks"
}
# the first version of a space, all its rows at least of that version
republished() { # PREFIX SPACE
	raw "$1" | grep '"key":"model"' | grep -F "\"space_id\":\"default-$2\"" | sed 's/.*"version":\([0-9]*\),"step".*/\1/' | sort -n | head -1 >"$TMP/first"
	view "$1" | sed 's/.*"version":\([0-9]*\),.*/\1/' | awk -v first="$(cat "$TMP/first")" '$1 + 0 < first + 0 { old++ } END { if (!NR || !first || old) { print old + 0, "of", NR, "rows are older than", first; exit 1 } }' ||
		fail "not all rows are published in space $2"
	expect 0 read -e -t "$1"; says 'complete: '
}

# 1. what is refused
A=${PREFIX}_a; before "$A"
N=${PREFIX}_n
expect 0 topics create -t "$N"
expect 64 rollback -t "$A"
expect 0 rollback --help; prints 'example: s4rec rollback '
expect 66 rollback "$TMP/missing" -t "$A"; says 'cannot be opened'
expect 66 rollback "$TMP" -t "$A"; says "$TMP: a folder"
expect 65 rollback "$TMP/1.jsonl" -t "$A"; says 'not a model file'
expect 65 rollback "$TMP/good.model" -t "$N"; says "prefix $N has no model yet"
expect 78 rollback "$TMP/good.model" -t "$A" --width 32; says 'width is 16 in the file, 32 here'
awk 'BEGIN { for (u = 0; u < 120; u++) { printf "u%d", u; for (i = 0; i < 6; i++) printf " i%d", (u * 7 + i) % 40; print "" } }' >"$TMP/sequences.txt"
expect 0 eval loo "$TMP/sequences.txt" --epochs 60 --eval.every 60 --model.out "$TMP/far.model"
expect 78 rollback "$TMP/far.model" -t "$A"; says 'the file is of step 240'
newest_cut() { "$TOOL" dump "$1.batches" | awk '$3 != "attempt" { step = $3 } END { print step }'; }
cut=$(newest_cut "$A"); "$TOOL" dump "$A.embeddings" | LC_ALL=C sort >"$TMP/rows"

# 2. back to a file: nothing is published yet; then the first commit publishes all, and items that the file does not know begin anew
expect 0 rollback "$TMP/good.model" -t "$A"; says "rolled back $A: step="; says 'space=2'
[ ! -e "$TMP/ranks" ] || fail "rollback made the trainer's eval.out"
"$TOOL" dump "$A.embeddings" | LC_ALL=C sort | cmp -s - "$TMP/rows" || fail "a rollback writes rows"
[ "$(newest_cut "$A")" = $((cut + 1)) ] || fail "not one cut more"
in_space() { raw "$1" | grep -F "\"space_id\":\"default-$2\"" | sed 's/.*"version":\([0-9]*\),"step".*/\1/' | sort -u | wc -l; }
expect 0 train -t "$A" --until end --state.flush.ms 3600000; rm -f "$TMP/ranks"
[ "$(in_space "$A" 2)" = 1 ] || fail "without an event the rows are not published at once"
republished "$A" 2
expect 0 train -t "$A" --until end; rm -f "$TMP/ranks"
[ "$(in_space "$A" 2)" = 1 ] || fail "published again"
fill "$A" "$TMP/3.jsonl"; expect 0 train -t "$A" --until end --state.flush.ms 3600000
republished "$A" 2
grep -q '"key":"item/new[0-9]"' "$TMP/out.log" || fail "no item came later"
view "$A" >"$TMP/a.view"; raw "$A" | versions >"$TMP/a.versions"

# 3. killed while rolling back: the old model is there, or the new one; killed while training on, also before anything was flushed: the same bytes
cut=0 low=0 high=1200
for round in 1 2 3; do
	K=${PREFIX}_k$round; before "$K"
	expect 0 export "$TMP/old.model" -t "$K"
	ms=$(((low + high) / 2))
	start "$TMP/rollback.log" rollback "$TMP/good.model" -t "$K"
	sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
	kill -9 "$pid" 2>/dev/null || :
	code=0; wait "$pid" || code=$?
	[ "$code" = 0 ] || cut=$((cut + 1))
	expect 0 export "$TMP/k.model" -t "$K"
	if cmp -s "$TMP/k.model" "$TMP/old.model"; then
		expect 0 rollback "$TMP/good.model" -t "$K"; low=$ms
	else
		high=$ms
	fi
done
[ "$cut" -ge 1 ] || fail "no rollback was killed"
fill "$K" "$TMP/3.jsonl"
again() { start "$TMP/again.log" train -t "$K" --until end --progress.ms 100 --state.flush.ms 3600000; eventually 60 logged "$1" "$TMP/again.log"; kill -9 "$pid" 2>/dev/null || :; wait "$pid" || :; }
again ' restored '; again ' train events='; again ' replay done'
expect 0 train -t "$K" --until end
same_view "$TMP/a.view" "$K" "killed before and after a rollback"
raw "$K" | versions | cmp -s - "$TMP/a.versions" || fail "killed before and after a rollback, the versions are others"

# 4. the file is what the model is: at once, and exported again
expect 0 export "$TMP/now.model" -t "$A"
expect 0 rollback "$TMP/now.model" -t "$A"; says 'space=3'
expect 0 export "$TMP/same.model" -t "$A"
same_file "$TMP/now.model" "$TMP/same.model" "back to where it is"
tail -n 5 "$TMP/3.jsonl" | sed 's/"event_id":"/&again-/' >"$TMP/few.jsonl" # after which hardly a row has moved
fill "$A" "$TMP/few.jsonl"; rm -f "$TMP/ranks"; expect 0 train -t "$A" --until end
republished "$A" 3

# 5. a trainer that runs is fenced, and can publish nothing after it
start "$TMP/live.log" train -t "$A" --linger.ms 1 --commit.ms 1; live=$pid
eventually 60 logged ' replay done' "$TMP/live.log"
fill "$A" "$TMP/1.jsonl"; eventually 60 logged ' train events=' "$TMP/live.log"
expect 0 rollback "$TMP/good.model" -t "$A"; says 'space=4'
fill "$A" "$TMP/2.jsonl"
ends "$live" 75
rm -f "$TMP/ranks"; expect 0 train -t "$A" --until end
republished "$A" 4

# 6. readers' topic made anew while nobody looked: all rows are sent again, and a replay knows that they were
E=${PREFIX}_e; before "$E"
"$TOOL" delete-topic "$E.embeddings"; expect 0 topics create -t "$E"
start "$TMP/live.log" train -t "$E" --linger.ms 1 --commit.ms 1 --state.flush.ms 3600000 --progress.ms 100; live=$pid
eventually 60 logged "$E.embeddings: 4 of 4 partitions are empty" "$TMP/live.log"
fill "$E" "$TMP/few.jsonl"; eventually 60 logged ' train events=4005 ' "$TMP/live.log"
sleep 0.3; sent=$(grep -o 'items_published=[0-9]* users_published=[0-9]*' "$TMP/live.log" | tail -1)
kill -9 "$live"; wait "$live" || :
expect 0 read -e -t "$E"; says 'complete: '
[ "$(grep -o '"key":"user/[^"]*"' "$TMP/out.log" | LC_ALL=C sort -u | wc -l)" -ge 290 ] || fail "the rows did not come back"
rm -f "$TMP/ranks"; expect 0 train -t "$E" --until end; says ' replaying '; says " $sent "
! grep -q 'partitions are empty' "$TMP/err.log" || fail "said again"
echo "ok $NAME"
