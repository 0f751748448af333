#!/bin/sh
# test_topics.sh - `topics create` makes what `topics check` and the table ask for, twice; wrong topics are named.
# Needs BROKER=host:port; BUILD (build).
set -eu
: "${BROKER:?host:port of a running broker}"
S4REC=${BUILD:-build}/s4rec
PREFIX=test-topics-$$-$(date +%s)
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT

fail() { echo "FAIL test_topics: $*" >&2; cat "$DIR/out" "$DIR/err" >&2; exit 1; }
# expect CODE ARGS...: runs s4rec, compares the exit code
expect() {
	want=$1; shift; got=0
	"$S4REC" "$@" -b "$BROKER" >"$DIR/out" 2>"$DIR/err" </dev/null || got=$?
	[ "$got" = "$want" ] || fail "s4rec $*: exit $got, expected $want"
}

expect 78 topics check -t "$PREFIX"
grep -q "topic $PREFIX.embeddings is missing" "$DIR/err" || fail "missing topic is not named"
grep -q "s4rec topics create" "$DIR/err" || fail "no hint"

expect 0 topics create -t "$PREFIX" --partitions 3
[ "$(grep -c '^created' "$DIR/out")" = 5 ] || fail "five topics expected"
expect 0 topics check -t "$PREFIX"
grep -q "$PREFIX.interactions  3 partitions" "$DIR/out" || fail "partitions of interactions"
grep -q "$PREFIX.batches  1 partition " "$DIR/out" || fail "partitions of batches"

expect 0 topics create -t "$PREFIX" --partitions 3   # again: nothing to do, no error
[ "$(grep -c '^exists' "$DIR/out")" = 5 ] || fail "five existing topics expected"
expect 0 topics create -t "$PREFIX" --partitions 5   # never altered
expect 0 topics check -t "$PREFIX"
grep -q "$PREFIX.embeddings  3 partitions" "$DIR/out" || fail "partitions were altered"

# An input topic of somebody else's is asked for, not made.
expect 78 topics create -t "$PREFIX" --input.topic "$PREFIX.clicks"
grep -q "topic $PREFIX.clicks is missing" "$DIR/err" || fail "missing input topic is not named"
grep -q '^hint' "$DIR/err" && fail "create cannot make a foreign topic"

expect 64 topics
expect 64 topics drop
echo "ok test_topics"
