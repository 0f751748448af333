#!/bin/sh
# test_topics.sh - `topics create` makes what `topics check` and the table ask for, twice; wrong topics are named.
. "$(dirname "$0")/lib.sh"

expect 78 topics check -t "$PREFIX"
says "topic $PREFIX.embeddings is missing"
says "s4rec topics create"

expect 0 topics create -t "$PREFIX" --partitions 3
[ "$(grep -c '^created' "$TMP/out.log")" = 5 ] || fail "five topics expected"
expect 0 topics check -t "$PREFIX"
prints "$PREFIX.interactions  3 partitions"
prints "$PREFIX.batches  1 partition "

expect 0 topics create -t "$PREFIX" --partitions 3   # again: nothing to do, no error
[ "$(grep -c '^exists' "$TMP/out.log")" = 5 ] || fail "five existing topics expected"
expect 0 topics create -t "$PREFIX" --partitions 5   # never altered
expect 0 topics check -t "$PREFIX"
prints "$PREFIX.embeddings  3 partitions"

# An input topic of somebody else's is asked for, not made.
expect 78 topics create -t "$PREFIX" --input.topic "$PREFIX.clicks"
says "topic $PREFIX.clicks is missing"
grep -q '^hint' "$TMP/err.log" && fail "create cannot make a foreign topic"

# Topics that break a promise: refused by the check and by the worker, which name topic, setting, value and remedy.
# refused TOPIC PARTITIONS SETTINGS TEXT...: the topic made anew like that; all TEXTs are said
refused() {
	topic=$PREFIX.$1; "$TOOL" delete-topic "$topic"
	# shellcheck disable=SC2086
	"$TOOL" create-topic "$topic" "$2" $3
	shift 3
	for command in "topics check" "train --until end"; do
		# shellcheck disable=SC2086
		expect 78 $command
		for text; do says "$text"; done
		[ "$(grep -c error "$TMP/err.log")" = 1 ] || unexpected "$command: one error expected"
	done
	"$TOOL" delete-topic "$topic"
	expect 0 topics create --partitions 3
	expect 0 topics check
}
remedy="(kafka-configs.sh --alter, or delete the topic and \`s4rec topics create\`)"
refused embeddings 3 cleanup.policy=delete "topic $PREFIX.embeddings has cleanup.policy=delete, it must be compact" "$remedy"
refused state 1 cleanup.policy=compact,delete "topic $PREFIX.state has cleanup.policy=compact,delete, it must be compact" "$remedy"
refused batches 2 "retention.ms=-1 retention.bytes=-1" "topic $PREFIX.batches has 2 partitions, it must have 1; delete it, then \`s4rec topics create\`"
refused batches 1 retention.bytes=-1 "topic $PREFIX.batches has retention.ms=604800000, it must be -1" "$remedy"

expect 64 topics
expect 64 topics drop
echo "ok $NAME"
