#!/bin/sh
# --from, --until, --epochs: what would be read; a backlog, passes over the user store, then live; a second model beside the first, hidden until it has
# caught up, killed anywhere; the pointer that leads readers over.
# not with sanitizers: long
# shellcheck disable=SC2046,SC2086
. "$(dirname "$0")/lib.sh"

model=$(small | sed 's/--commit.steps [0-9]* //')
stream "$TMP/all.jsonl" 6000
split -n l/3 "$TMP/all.jsonl" "$TMP/part."
A=$PREFIX IN=$PREFIX.interactions
lines() { cat "$@" | wc -l; }
append() { "$S4REC" load -t "$A" "$1" >"$TMP/load.log" 2>&1 || fail "cannot load $1"; }
load "$A" "$TMP/part.aa"
sleep 1.1; between=$(date -u +%Y-%m-%dT%H:%M:%SZ); sleep 0.2
append "$TMP/part.ab"
n1=$(lines "$TMP/part.aa") n2=$(lines "$TMP/part.ab") n=$((n1 + n2))
# plan RECORDS WHAT OPTIONS...: so many would be read
plan() {
	due=$1 what=$2; shift 2
	expect 0 train --dry-run "$@" $(small)
	told=$(sed -n 's/^all  *\([0-9]*\) .*/\1/p' "$TMP/out.log")
	[ "$told" = "$due" ] || unexpected "$what: $told records, $due expected"
}

# 1. what would be read, by each way to say it; nothing is written
plan "$n" beginning
plan "$n2" "a time" --from "$between"
plan "$n1" "until a time" --until "$between"
plan "$n" "a duration" --from 7d
plan 0 "until so long ago" --until 7d
plan 10 offsets --from 0:5,1:7,2:0,3:0 --until 0:15,1:7,2:0,3:0
grep -q '^0  *5  *15  *10  ' "$TMP/out.log" || unexpected "the plan of partition 0"
grep -q "$(date -u +%Y-%m-%dT)" "$TMP/out.log" || unexpected "the plan tells no times"
expect 65 train --dry-run --from committed $(small); says "group $A has committed nothing"
expect 64 train --from yesterday $(small); says 'from=yesterday is no place in the input'
expect 64 train --until 0:1,x $(small); says 'until=0:1,x is no place'
[ -z "$("$TOOL" dump "$A.batches")" ] || fail "a dry run wrote cuts"

# 2. up to a place; on from there; a place in the past of a model is refused, a model beside it has topics of its own
expect 0 train --until "$between" $(small) --eval.out "$TMP/ranks" --eval.windows "$TMP/windows"
plan "$n2" "behind the last cut"; prints 'from the last committed cut'
expect 78 train --from beginning $(small); says 'name it with --model.id'
expect 78 train --from beginning --model.id two $(small); says "topics create -b $BROKER -t $A.two --input.topic $IN"
expect 0 train --until end $(small); says " dead_letters=$(grep -c '^!raw' "$TMP/part.aa" "$TMP/part.ab" | awk -F: '{ n += $2 } END { print n }')"

# 3. passes: hidden before, all rows after, in one version; the same words again go on, others are refused; more passes when they are asked for
two() { expect "$1" train --model.id two $(small --epochs.gain 0.000001) --eval.out "$TMP/ranks" --eval.windows "$TMP/windows" $2; }
cp "$TMP/ranks" "$TMP/own.ranks"; cp "$TMP/windows" "$TMP/own.windows"
expect 0 topics create -t "$A.two" --input.topic "$IN"
two 0 "--from beginning --until end --epochs 1"
says 'pass 1 over'; says 'caught up: step='; ! grep -q 'pass 2 over' "$TMP/err.log" || unexpected "more passes than --epochs"
[ "$("$S4REC" read -e -t "$A.two" --vectors 0 2>/dev/null | sed 's/.*"version":\([0-9]*\),.*/\1/' | sort -u | wc -l)" = 1 ] || fail "not one version"
expect 0 read -e -t "$A.two"; says 'model two, space two-1'; says 'complete: '
two 78 "--from 1d"; says 'name it with --model.id'
two 0 "--from beginning --until end --epochs 1"; ! grep -q 'pass ' "$TMP/err.log" || unexpected "a pass again"
two 0 "--until end --epochs 30"
grep -q 'pass 2 over' "$TMP/err.log" || unexpected "no second pass"
passes=$(grep -c 'pass [0-9]* over' "$TMP/err.log"); [ "$passes" -lt 29 ] || fail "the gain has ended no pass"
two 0 "--until end --epochs 30"; ! grep -q 'pass ' "$TMP/err.log" || unexpected "passes without a gain went on"
expect 0 verify --model.id two $model --epochs.gain 0.000001
prints "equal: $A.two"
# both can be compared on the same events, and neither writes into the other's files, though one file of options may name them
cmp "$TMP/ranks" "$TMP/own.ranks" && cmp "$TMP/windows" "$TMP/own.windows" && [ -s "$TMP/windows.two" ] || fail "a second model wrote into the first one's files"
[ "$(cut -f 2 "$TMP/ranks.two" | sort -u | wc -l)" -gt 3000 ] || fail "the second model ranks no events"

# 4. the pointer: only to a model that is there, and back
expect 78 promote nobody; says "$A.nobody.embeddings is missing"
expect 0 topics create -t "$A.three" --input.topic "$IN"
expect 69 promote three; says 'model three is not ready for readers: no version record'
expect 0 query item i1 --top 3; cp "$TMP/out.log" "$TMP/own"
expect 0 query item i1 --top 3 -t "$A.two"; cp "$TMP/out.log" "$TMP/two"
! cmp -s "$TMP/own" "$TMP/two" || fail "two models are one"
expect 0 promote two; says "readers of $A.embeddings are led to $A.two"
expect 0 query item i1 --top 3; says "are led to $A.two"; cmp "$TMP/out.log" "$TMP/two" >&2 || fail "query does not follow the pointer"
expect 0 read -e; says 'model two, space two-1'
expect 0 query item i1 --top 3 --pointer false; cmp "$TMP/out.log" "$TMP/own" >&2 || fail "--pointer false"
expect 0 promote default; expect 0 query item i1 --top 3; cmp "$TMP/out.log" "$TMP/own" >&2 || fail "not back"

# 5. from a backlog by way of passes to live, events coming all the time: each is trained once
start "$TMP/live.log" train --model.id three --from beginning --epochs 2 --progress.ms 100 --linger.ms 20 $(small); live=$pid
append "$TMP/part.ac"
eventually 120 logged 'live from here' "$TMP/live.log"
"$S4REC" generate --events 500 --skip 6000 --users 300 --items 80 --interests 4 --malformed 0 --duplicates 0 --late 0 2>"$TMP/gen.log" >"$TMP/more.jsonl"
append "$TMP/more.jsonl"
eventually 60 logged " train events=$((good + 500)) " "$TMP/live.log"
kill -TERM "$live"; ends "$live" 0
grep ' train events' "$TMP/live.log" | tail -1 | grep -q " events=$((good + 500)) .* dead_letters=$bad " || fail "missing or twice: $(tail -2 "$TMP/live.log")"
grep -q 'pass 2 over' "$TMP/live.log" || fail "no passes"
expect 0 read -e -t "$A.three"; says 'complete: '

# 6. killed in the backlog and in the passes, with states in between or without: the same rows and versions
U=${PREFIX}_u
back() { # PREFIX OPTIONS
	p=$1; shift
	expect 0 train -t "$p" --input.topic "$IN" --from beginning --until end --epochs 150 $(small "$@")
}
expect 0 topics create -t "$U" --input.topic "$IN"; back "$U"
view "$U" >"$TMP/u.view"; raw "$U" | versions >"$TMP/u.versions"
for flush in 50 3600000; do
	K=${PREFIX}_k$flush
	expect 0 topics create -t "$K" --input.topic "$IN"
	hits=0 in_pass=0
	for try in 1 2 3 4 5 6; do
		start "$TMP/kill.log" train -t "$K" --input.topic "$IN" --from beginning --until end --epochs 150 --progress.ms 100 --state.flush.ms "$flush" $(small)
		if [ "$try" -gt 3 ]; then
			eventually 60 sh -c "grep -q 'pass $((try * 30 - 100)) over\| stopped ' '$TMP/kill.log'"
		else
			eventually 60 sh -c "grep -q 'replay done\|new model' '$TMP/kill.log'"; sleep "0.$try"
		fi
		[ -n "$(raw "$K")" ] && ! grep -q 'caught up' "$TMP/kill.log" && [ "$try" = 1 ] && fail "rows before it has caught up"
		kill -9 "$pid" 2>/dev/null && hits=$((hits + 1)); wait "$pid" || :
		! grep -q 'pass [0-9]* over' "$TMP/kill.log" || in_pass=$((in_pass + 1))
	done
	[ "$hits" -ge 1 ] && [ "$in_pass" -ge 1 ] || fail "killed $hits times, $in_pass of them in passes"
	back "$K"
	same_view "$TMP/u.view" "$K" "killed, state.flush.ms=$flush"
	raw "$K" | versions | cmp -s - "$TMP/u.versions" || fail "killed, the versions differ"
done
echo "ok $NAME"
