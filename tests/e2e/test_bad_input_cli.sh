#!/bin/sh
# test_bad_input_cli.sh - mistakes on the command line and in the surroundings: the right exit code, one clear line, no stall.
# Needs BROKER=host:port; BUILD (build).
set -eu
: "${BROKER:?host:port of a running broker}"
S4REC=${BUILD:-build}/s4rec
PREFIX=test-cli-$$-$(date +%s)
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT

fail() { echo "FAIL test_bad_input_cli: $*" >&2; cat "$DIR/out" "$DIR/err" >&2; exit 1; }
# expect CODE TEXT ARGS...: exit code, and a line on stderr that holds TEXT
expect() {
	want=$1; text=$2; shift 2; got=0
	timeout 30 "$S4REC" "$@" >"$DIR/out" 2>"$DIR/err" </dev/null || got=$?
	[ "$got" = "$want" ] || fail "s4rec $*: exit $got, expected $want"
	grep -qF -- "$text" "$DIR/err" || fail "s4rec $*: no line with: $text"
}

# No broker: one line, within the time that was given, from every command that needs one.
for command in "topics check" "load $0" "read -e" "query item 1"; do
	# shellcheck disable=SC2086
	expect 69 "error: no broker answers at 127.0.0.1:1 within 0.5 s" $command -b 127.0.0.1:1 --connect.timeout.ms 500
	[ "$(wc -l <"$DIR/err")" = 1 ] || fail "$command: one line expected"
	grep -q "Connection refused" "$DIR/err" || fail "$command: the reason is missing"
done

# kafka.* keys: unknown ones, bad values, those that a promise hangs on.
expect 78 "kafka.no.such.key" topics check -b "$BROKER" -X no.such.key=1
expect 78 "kafka.linger.ms" topics check -b "$BROKER" -X linger.ms=soon
expect 78 "kafka.isolation.level cannot be set" read -e -b "$BROKER" -X isolation.level=read_uncommitted
expect 78 "use --transactional.id" topics check -b "$BROKER" -X transactional.id=x

# Missing topics.
expect 78 "topic $PREFIX.embeddings is missing" read -e -b "$BROKER" -t "$PREFIX"
expect 78 "topic $PREFIX.embeddings is missing" query user u -b "$BROKER" -t "$PREFIX"
expect 78 "topic $PREFIX.interactions is missing" load "$0" -b "$BROKER" -t "$PREFIX"

# Usage.
expect 64 "say \`item ID\`" query
expect 64 "say \`item ID\`" query thing 1
expect 64 "unexpected argument 'x'" read x
expect 64 "name one file" load
expect 64 "cannot be read from lines" load "$0" --format protobuf
expect 66 "No such file" load "$DIR/none"
for command in topics load read query; do
	"$S4REC" $command --help >"$DIR/out" 2>"$DIR/err" || fail "$command --help"
	grep -q '^example: s4rec ' "$DIR/out" || fail "$command --help has no example"
done
echo "ok test_bad_input_cli"
