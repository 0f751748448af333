#!/bin/sh
# What a worker must not go on with: another kind of machine, topics that are missing or made anew, scores that it cannot write.
. "$(dirname "$0")/lib.sh"

stream "$TMP/events.jsonl" 1500
head -n 1000 "$TMP/events.jsonl" >"$TMP/first.jsonl"
tail -n 500 "$TMP/events.jsonl" >"$TMP/rest.jsonl"
numeric_id() { "$S4REC" read -e -t "$1" --vectors 0 2>/dev/null | sed -n 's/^{"key":"model",.*"numeric_id":"\([^"]*\)".*/\1/p' | tail -n 1; }

# 1. topics: missing from the start, and one of them gone
expect 78 train -t "${PREFIX}_none" --until end $(small)
for topic in interactions embeddings state batches dlq; do says "topic ${PREFIX}_none.$topic is missing"; done
says 's4rec topics create'
A=${PREFIX}_a; load "$A" "$TMP/first.jsonl"
"$TOOL" delete-topic "$A.dlq"
expect 78 train -t "$A" --until end $(small)
says "topic $A.dlq is missing"; says 's4rec topics create'
expect 0 topics create -t "$A"

# 2. scores that cannot be written: nothing is committed without them
for try in "74 /dev/full No space left on device" "73 $TMP/nowhere/scores No such file or directory"; do
	# shellcheck disable=SC2086
	set -- $try; code=$1 file=$2; shift 2
	expect "$code" train -t "$A" --until end --eval.out "$file" $(small)
	says "cannot write $file: $* (eval.out)"
	[ "$(grep -c ' error ' "$TMP/err.log")" = 1 ] || unexpected "one error expected"
	"$TOOL" dump "$A.batches" >"$TMP/cuts"
	[ ! -s "$TMP/cuts" ] || fail "$file: cuts were committed all the same"
done
expect 0 train -t "$A" --until end $(small)

# 3. another kernel computes other bits
if [ "$(uname -m)" = x86_64 ] && grep -q avx2 /proc/cpuinfo; then
	here=$(numeric_id "$A")
	"$S4REC" load -t "$A" "$TMP/rest.jsonl" >"$TMP/load.log" 2>&1
	raw "$A" >"$TMP/before"
	expect 78 train -t "$A" --until end --kernel portable $(small)
	says "computed by $here,"; says "computes by blas-"; says '--accept.numerics'
	raw "$A" | cmp -s - "$TMP/before" || fail "a refused machine published something"
	expect 0 train -t "$A" --until end --kernel portable --accept.numerics 1 $(small)
	says ' warn this model was computed by'
	there=$(numeric_id "$A")
	[ "$there" != "$here" ] || fail "the numeric id is $there with both kernels"
	expect 0 train -t "$A" --until end --kernel portable $(small) # the model is this kernel's now ...
	expect 78 train -t "$A" --until end $(small) # ... and no longer the other one's
	says "computed by $there,"
fi

# 4. topics made anew: rows would be spread otherwise, positions mean other events
B=${PREFIX}_b; load "$B" "$TMP/first.jsonl"
expect 0 train -t "$B" --until end $(small)
"$TOOL" delete-topic "$B.embeddings"
"$TOOL" create-topic "$B.embeddings" 3 cleanup.policy=compact
expect 78 train -t "$B" --until end $(small)
says "$B.embeddings has 3 partitions, this model's rows were spread over 4"; says 'topic.prefix'
"$TOOL" delete-topic "$B.embeddings"
"$TOOL" create-topic "$B.embeddings" 4 cleanup.policy=compact
"$TOOL" delete-topic "$B.interactions"
"$TOOL" create-topic "$B.interactions" 3 cleanup.policy=delete
expect 78 train -t "$B" --until end $(small)
says "$B.interactions has 3 partitions, this model was folded from 4"
"$TOOL" delete-topic "$B.interactions"
"$TOOL" create-topic "$B.interactions" 4 cleanup.policy=delete
expect 65 train -t "$B" --until end $(small)
says 'the topic was made anew'
echo "ok $NAME"
