#!/bin/sh
# test_bad_input_cli.sh - mistakes on the command line and in the surroundings: the right exit code, one clear line, no stall.
. "$(dirname "$0")/lib.sh"
EXPECT_S=30
# refuses CODE TEXT ARGS...: exit code, and a line on stderr that holds TEXT
refuses() {
	code=$1; text=$2; shift 2
	expect "$code" "$@"
	says "$text"
}

# No broker: one line, within the time that was given, from every command that needs one.
for command in "topics check" "load $0" "read -e" "query item 1"; do
	# shellcheck disable=SC2086
	refuses 69 "error: no broker answers at 127.0.0.1:1 within 0.5 s" $command -b 127.0.0.1:1 --connect.timeout.ms 500
	[ "$(wc -l <"$TMP/err.log")" = 1 ] || fail "$command: one line expected"
	says "Connection refused"
done

# kafka.* keys: unknown ones, bad values, those that a promise hangs on.
refuses 78 "kafka.no.such.key" topics check -b "$BROKER" -X no.such.key=1
refuses 78 "kafka.linger.ms" topics check -b "$BROKER" -X linger.ms=soon
refuses 78 "kafka.isolation.level cannot be set" read -e -b "$BROKER" -X isolation.level=read_uncommitted
refuses 78 "use --topic.prefix" topics check -b "$BROKER" -X transactional.id=x

# Missing topics.
refuses 78 "topic $PREFIX.embeddings is missing" read -e -b "$BROKER" -t "$PREFIX"
refuses 78 "topic $PREFIX.embeddings is missing" query user u -b "$BROKER" -t "$PREFIX"
refuses 78 "topic $PREFIX.interactions is missing" load "$0" -b "$BROKER" -t "$PREFIX"

# Usage.
refuses 64 "say \`item ID\`" query
refuses 64 "say \`item ID\`" query thing 1
refuses 64 "unexpected argument 'x'" read x
refuses 64 "name one file" load
refuses 64 "cannot be read from lines" load "$0" --format protobuf
refuses 66 "No such file" load "$TMP/none"
for command in topics load read query; do
	expect 0 $command --help
	grep -q '^example: s4rec ' "$TMP/out.log" || fail "$command --help has no example"
done
echo "ok $NAME"
