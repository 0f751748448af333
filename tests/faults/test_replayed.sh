#!/bin/sh
# What a flush of a replay leaves, when the process ends behind it: eval.out and eval.windows have every line, a rollback whose own transaction is lost
# says so, and rows that another kind of machine has flushed are published again, however often the start that owes them is killed; old cuts go.
# shellcheck disable=SC2046
. "$(dirname "$0")/lib.sh"
model=$(small | sed 's/--commit.steps [0-9]* //')
behind=0:1,1:1,2:1,3:1 # an end that is behind us: nothing new is trained
never="--state.flush.ms 3600000" always="--state.flush.ms 0"
dies_at() { at=$1; shift; crashes "$at" $(worker "$@"); } # dies_at POINT PREFIX OPTIONS...
scores() { echo --eval.out "$TMP/$1.tsv" --eval.windows "$TMP/$1.jsonl" --eval.window.ms 60000; }

# 1. lines of scores
A=${PREFIX}_a P=${PREFIX}_p
prefix_new "$A"; prefix_new "$P"; follow "$P"
expect 0 $(worker "$A" --until end $(scores a))
for commit in 9 6 7; do
	dies_at "commit.after_end:$commit" "$P" --until end $(scores p) $never
	dies_at replay.after_cut:9 "$P" --until end $(scores p) $always
	dies_at flush.settled "$P" --until $behind $(scores p) $never
done
through "$P" $(scores p)
as_if_nothing_happened "$P"
cmp "$TMP/a.tsv" "$TMP/p.tsv" || fail "eval.out: $(wc -l <"$TMP/p.tsv") lines instead of $(wc -l <"$TMP/a.tsv")"
cmp "$TMP/a.jsonl" "$TMP/p.jsonl" || fail "eval.windows: $(wc -l <"$TMP/p.jsonl") lines instead of $(wc -l <"$TMP/a.jsonl")"

# 2. a rollback: its first transaction is the flush of the replay, its second is lost. It takes the number of a step whose commit was lost, but whose lines of
# scores were written: its events are scored in a later step
twice() { cut -f2 "$1" | LC_ALL=C sort | uniq -d | wc -l; }
P=${PREFIX}_back
prefix_new "$P"
dies_at commit.after_end:3 "$P" --until end $never
dies_at flush.settled "$P" --until end $always $(scores back)
expect 0 export -t "$P" --input.topic "$INPUT" $model "$TMP/file"
dies_at commit.before_end:7 "$P" --until end $never $(scores back)
newest_cut() { "$TOOL" dump "$P.batches" | tail -n 1; }
before=$(newest_cut)
(export LD_PRELOAD="$BUILD/faults/commit.so" COMMIT_FAILS=2; expect 75 rollback -t "$P" -G "$P" --input.topic "$INPUT" $model "$TMP/file")
says 'state flush of step'; says 'was aborted'
[ "$(newest_cut)" = "$before" ] || fail "an aborted rollback left a cut"
expect 0 rollback -t "$P" -G "$P" --input.topic "$INPUT" $model "$TMP/file"
expect 0 $(worker "$P" --until end $(scores back))
[ "$(twice "$TMP/back.tsv")" = "$(twice "$TMP/a.tsv")" ] || fail "eval.out behind a rollback: $(twice "$TMP/back.tsv") events are scored twice"

# 3. the machine that computed all that readers have is back, and another kind has flushed and published nothing
versions() { "$S4REC" read -e --vectors 0 -t "$P" 2>/dev/null | sed -n 's/^{"key":"\([^/]*\)\/.*"version":\([0-9]*\)[,}].*/\2/p' | sort -n | uniq -c; }
for point in replay.after_cut:15 replay.done flush.settled commit.before_end:2; do
	P=${PREFIX}_bits_$(echo "$point" | tr -c 'a-z0-9\n' _)
	prefix_new "$P"
	dies_at commit.after_end:25 "$P" --until end $never
	dies_at flush.settled "$P" --until $behind --kernel portable --accept.numerics 1 $always
	expect 78 $(worker "$P" --until $behind)
	says '--accept.numerics'
	dies_at "$point" "$P" --until $behind --accept.numerics 1 $never
	expect 0 $(worker "$P" --until $behind --accept.numerics 1)
	rows=$("$S4REC" read -e --vectors 0 -t "$P" 2>/dev/null | awk -F'"' '$4 != "model" && !/"deleted":true/ && !n[$4]++' | wc -l)
	sent=$(versions | tail -n 1 | awk '{ print $1 }')
	[ "$sent" -ge "$rows" ] || fail "$point: $sent of $rows rows were published again"
done

# 4. lives that end with the flush of their replay: cuts below the second-newest state go, though no life has two flushes
P=${PREFIX}_short
prefix_new "$P"; follow "$P"
oldest_cut() { "$TOOL" dump "$P.batches" | awk '$3 != "attempt" { print $3; exit }'; }
before=0
for life in 1 2 3 4; do
	dies_at commit.after_end:4 "$P" --until end $never
	expect 0 $(worker "$P" --until $behind $never)
	[ "$(grep -c ' state flushed: ' "$TMP/err.log") $(oldest_cut)" = "1 $before" ] ||
		unexpected "life $life: the cuts begin at step $(oldest_cut), the state before this one is of step $before"
	before=$(sed -n 's/.* state flushed: step=\([0-9]*\) .*/\1/p' "$TMP/err.log")
done
through "$P"
as_if_nothing_happened "$P"

# 5. a limit below what a replay needs is named, not the input
P=${PREFIX}_limit
prefix_new "$P"
dies_at commit.after_end:3 "$P" --until end $never
expect 78 $(worker "$P" --until end --max.items 40)
says 'max.items=40 is below the items'
echo "ok $NAME"
