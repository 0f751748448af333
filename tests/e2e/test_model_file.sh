#!/bin/sh
# Model files: `eval loo --model.out`, `import` into a new prefix, `train` from there, `export`: whole, killed, refused; a worker is never disturbed.
# not with sanitizers: long; its parts have unit tests there
. "$(dirname "$0")/lib.sh"

stream "$TMP/events.jsonl" 2000
# users who walk round a ring of 40 items, most of which the stream knows, too
awk 'BEGIN { for (u = 0; u < 120; u++) { printf "u%d", u; for (i = 0; i < 6 + u % 5; i++) printf " i%d", (u * 7 + i) % 40; print "" } }' >"$TMP/sequences.txt"
# the trainer's file of options serves all commands; its eval.out is the trainer's
for option in $(small --eval.out "$TMP/ranks"); do
	case $option in --*) printf '%s=' "${option#--}" ;; *) echo "$option" ;; esac
done >"$TMP/s4rec.properties"
export S4REC_CONFIG="$TMP/s4rec.properties"
empty() { "$TOOL" dump "$1" >"$TMP/dump"; [ ! -s "$TMP/dump" ] || fail "$1 is not empty"; }
same_file() { cmp "$1" "$2" >&2 || fail "$3: the files differ"; }
imported() { load "$1" "$TMP/events.jsonl"; expect 0 import "$2" -t "$1"; }

# 1. a file from offline training
expect 73 eval loo "$TMP/sequences.txt" --model.out "$TMP/nowhere/model"
says "$TMP/nowhere/model cannot be made: No such file or directory"
expect 0 eval loo "$TMP/sequences.txt" --epochs 4 --seeds 2 --model.out "$TMP/a.model"
first=$(grep -m 1 '^test ' "$TMP/out.log")
expect 0 eval loo "$TMP/sequences.txt" --model.in "$TMP/a.model"; prints "$first"
expect 64 eval loo "$TMP/sequences.txt" --model.in "$TMP/a.model" --seeds 2
expect 66 eval loo "$TMP/sequences.txt" --model.in "$TMP/missing"
[ ! -e "$TMP/a.model.tmp" ] || fail "a temporary file is left"
# ... and a sweep beside a run: each other value once, the run itself last, all on one page
expect 78 eval loo "$TMP/sequences.txt" --sweep 'lambda=0;heads=3'; says 'heads=3 does not divide width=16'
expect 64 eval loo "$TMP/sequences.txt" --model.in "$TMP/a.model" --sweep "lambda=0"; says "--seeds and --sweep have no use"
(export S4REC_ATTRIBUTES_BUCKETS=8; expect 78 eval loo "$TMP/sequences.txt" --model.in "$TMP/a.model"); says 'attributes.buckets=8: '
expect 0 eval loo "$TMP/sequences.txt" --epochs 2 --lambda 0.1 --sweep 'lambda=0,0.1;tau1=0.5' --report "$TMP/sweep.html"
prints 'sweep lambda=0 few HR@5='; prints 'sweep tau1=0.5 all HR@5='
[ "$(grep -c ' all HR@5=' "$TMP/out.log")" = 2 ] || fail "not two runs beside the run itself"
tail -n 1 "$TMP/out.log" | grep -q '^test HR@5=' || fail "the test is not the last line"
[ "$(grep -c '<b>Share of head users per prototype, lambda=0' "$TMP/sweep.html")" = 2 ] || fail "the page does not show both"

# 2. what is refused, and leaves nothing behind
A=${PREFIX}_a; load "$A" "$TMP/events.jsonl"
expect 64 import -t "$A"
expect 66 import "$TMP/missing" -t "$A"; says "$TMP/missing: cannot be opened: No such file or directory"
expect 65 import "$TMP/sequences.txt" -t "$A"; says "$TMP/sequences.txt: not a model file"
head -c 3000 "$TMP/a.model" >"$TMP/short"
expect 65 import "$TMP/short" -t "$A"; says "$TMP/short: cut short"
expect 78 import "$TMP/a.model" -t "$A" --width 32; says 'width is 16 in the file, 32 here'
expect 78 import "$TMP/a.model" -t "$A" --rows adagrad; says 'rows is adam in the file, adagrad here'
expect 78 import "$TMP/a.model" -t "$A" --max.items 39; says '40 items in the file, at most 39 here: raise max.items'
expect 64 import "$TMP/a.model" -t "$A" --cluster kmeans
expect 64 train -t "$A" --cluster kmeans; says 'cluster=kmeans is for `s4rec eval` only'
expect 65 export "$TMP/x.model" -t "$A"; says "$A.state is empty"
expect 78 import "$TMP/a.model" -t "${PREFIX}_none"; says "topic ${PREFIX}_none.state is missing"
empty "$A.state"; empty "$A.batches"
[ ! -e "$TMP/x.model" ] || fail "a refused export leaves a file"

# 3. in, and out again: the same bytes
began=$(date +%s%3N)
expect 0 import "$TMP/a.model" -t "$A"; says "imported to $A: step=16 items=40;"
whole_ms=$(($(date +%s%3N) - began))
empty "$A.embeddings"
expect 78 import "$TMP/a.model" -t "$A"; says "prefix $A has a model already"
expect 0 export "$TMP/b.model" -t "$A"; says 'step=16 items=40 users=0'
same_file "$TMP/a.model" "$TMP/b.model" "import and export"
expect 73 export "$TMP/nowhere/model" -t "$A"; says "$TMP/nowhere/model cannot be made"
expect 73 export "$TMP" -t "$A"; says 'Is a directory'
expect 78 export "$TMP/x.model" -t "$A" --tau1 0.2; says 'other options'
[ ! -e "$TMP/ranks" ] || fail "import or export made the trainer's eval.out"

# 4. training goes on from there, and the first commit publishes all items, also those that no event named
expect 0 train -t "$A" --until end
says " restored $A.state: step=16 items=40 users=0"; says " events=$good "
view "$A" >"$TMP/a.view"
i=0
while [ "$i" -lt 40 ]; do
	grep -q "^{\"key\":\"item/i$i\"" "$TMP/a.view" || fail "item i$i has no row"
	i=$((i + 1))
done
expect 78 import "$TMP/a.model" -t "$A"; says "prefix $A has a model already"

# 5. killed while training, and replayed over what was imported; a file that was exported is as good as the first
B=${PREFIX}_b; imported "$B" "$TMP/b.model"
again "$B" KILL 3
same_view "$TMP/a.view" "$B" "killed $hits times after an import"

# 6. killed while importing: nothing is there, and import may be run again, or all of it. Closing in on the moment at which it comes.
cut=0 there=0 low=0 high=$whole_ms
for round in 1 2 3 4 5 6 7; do
	K=${PREFIX}_k$round; load "$K" "$TMP/events.jsonl"
	ms=$(((low + high) / 2))
	start "$TMP/import.log" import "$TMP/a.model" -t "$K"
	sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
	kill -9 "$pid" 2>/dev/null || :
	code=0; wait "$pid" || code=$?
	[ "$code" = 0 ] || cut=$((cut + 1))
	code=0; "$S4REC" import "$TMP/a.model" -t "$K" >"$TMP/import.log" 2>&1 || code=$?
	case $code in
	0) low=$ms ;;
	78) logged 'has a model already' "$TMP/import.log" || fail "import after a kill"; high=$ms there=$((there + 1)) ;;
	*) fail "import after a kill exits $code" ;;
	esac
	expect 0 export "$TMP/k.model" -t "$K"
	same_file "$TMP/a.model" "$TMP/k.model" "import, killed after $ms ms"
done
[ "$cut" -ge 1 ] || fail "no import was killed"
echo "of 7 imports $cut were killed, $there were there, at last at about $high ms"
expect 0 train -t "$K" --until end
same_view "$TMP/a.view" "$K" "killed while importing"

# 7. exports beside a worker that flushes all the time: it goes on, and each file is whole
C=${PREFIX}_c; imported "$C" "$TMP/a.model"
start "$TMP/live.log" train -t "$C" --state.flush.ms 0 --linger.ms 1 --commit.ms 1 --progress.ms 100; live=$pid
for i in 1 2 3 4 5 6; do
	expect 0 export "$TMP/live.model" -t "$C"
	"$S4REC" load -t "$C" "$TMP/events.jsonl" >"$TMP/load.log" 2>&1
done
kill -TERM "$live"; ends "$live" 0
expect 0 export "$TMP/c.model" -t "$C"
! cmp -s "$TMP/a.model" "$TMP/c.model" || fail "training changed nothing"
D=${PREFIX}_d; imported "$D" "$TMP/c.model"
expect 0 export "$TMP/d.model" -t "$D"
same_file "$TMP/c.model" "$TMP/d.model" "a trained model, imported and exported"

# 8. a worker that had begun a new model, but committed nothing, is fenced by an import: it must not put its own first cut there
for E in ${PREFIX}_e1 ${PREFIX}_e2 ${PREFIX}_e3 ${PREFIX}_e4; do
	expect 0 topics create -t "$E"
	start "$TMP/young.log" train -t "$E"; young=$pid
	eventually 60 logged ' new model ' "$TMP/young.log"
	kill -STOP "$young"
	! "$S4REC" import "$TMP/a.model" -t "$E" >"$TMP/import.log" 2>&1 || break
	logged 'is not empty' "$TMP/import.log" || fail "import over a young worker fails: $(tail -n 1 "$TMP/import.log")"
	kill -KILL "$young"; ends "$young" 137 # it had committed before it was stopped
done
kill -CONT "$young"
"$S4REC" load -t "$E" "$TMP/events.jsonl" >"$TMP/load.log" 2>&1
ends "$young" 75
expect 0 train -t "$E" --until end
same_view "$TMP/a.view" "$E" "imported over a young worker"

# 9. rows that lag behind their moments, and rows with one number: the other losses, the other optimizer
other() { # LOSS OPTIONS...
	loss=$1; shift
	U=${PREFIX}_$loss V=${PREFIX}_${loss}2
	expect 0 eval loo "$TMP/sequences.txt" --epochs 30 --loss "$loss" "$@" --model.out "$TMP/s.model"
	for prefix in "$U" "$V"; do
		load "$prefix" "$TMP/events.jsonl"
		expect 0 import "$TMP/s.model" -t "$prefix" --loss "$loss" "$@"
	done
	expect 0 export "$TMP/t.model" -t "$U" --loss "$loss" "$@"
	same_file "$TMP/s.model" "$TMP/t.model" "import and export with loss $loss"
	expect 0 train -t "$U" --until end --loss "$loss" "$@"
	view "$U" >"$TMP/u.view"
}
other sampled --negatives 8 --weight.decay 0.01
again "$V" KILL 3 --loss sampled --negatives 8 --weight.decay 0.01
same_view "$TMP/u.view" "$V" "loss sampled, killed $hits times after an import"
other bce --negatives 2 --rows adagrad
expect 0 train -t "$V" --until end --loss bce --negatives 2 --rows adagrad --threads 1
same_view "$TMP/u.view" "$V" "rows adagrad, one thread"
echo "ok $NAME"
