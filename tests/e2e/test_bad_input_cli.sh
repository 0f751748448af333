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
refuses 66 "$TMP: a folder" load "$TMP"
refuses 66 "$TMP: it is a folder" eval loo "$TMP"
refuses 78 "a broker is host:port, such as kafka:9092, without http://" topics check -b http://localhost:9092
refuses 64 "no command 'trian'; the nearest is 'train'" trian
expect 0 help train
prints 'usage: s4rec train'; prints 'vectors (4..512; 64; fold)'; prints 'fold: shapes the model'
expect 0 config
awk '/^# fold:/ { fold = 1 } /^# these may change/ { fold = 0 } /^width=/ { w = fold } /^threads=/ { t = !fold } END { exit !w || !t }' "$TMP/out.log" || fail "config does not tell fold options from others"

# One style: every line of a command that fails says what it is.
for line in "topics drop" "load" "read x" "query thing 1" "generate x" "config x" "trian" "export" "topics check --widht 3"; do
	# shellcheck disable=SC2086
	expect 64 $line
	! grep -v '^error: ' "$TMP/err.log" || fail "$line: another style"
done

# No time in a line is not an absurd one.
echo '{"user_id":"u","item_id":"i"}' >"$TMP/no_time.jsonl"
expect 0 topics create -t "$PREFIX"
refuses 65 'line 1: no time' load "$TMP/no_time.jsonl" -t "$PREFIX"

# A model that prefix has decides what else may be made there: nothing is made before it was asked.
C=${PREFIX}_c
stream "$TMP/events.jsonl" 600; load "$C" "$TMP/events.jsonl"
expect 0 train -t "$C" --until end $(small)
refuses 65 "no prototype '300': there are 8, from 0 to 7" query prototype 300 -t "$C"
"$TOOL" delete-topic "$C.embeddings"; "$TOOL" delete-topic "$C.dlq"
refuses 78 'spread its rows over 4, not 4 and 3' topics create -t "$C" --partitions 3
refuses 78 "topic $C.embeddings is missing" topics check -t "$C"; says "topic $C.dlq is missing"
expect 0 topics create -t "$C"
refuses 78 'was folded with other options: tau1=0.1 (now 0.25), seed=1 (now 2); set them back' train -t "$C" --until end $(small --tau1 0.25 --seed 2)
refuses 78 'width=16 (now 64), ' export "$TMP/x.model" -t "$C"
for command in topics load read query; do
	expect 0 $command --help
	grep -q '^example: s4rec ' "$TMP/out.log" || fail "$command --help has no example"
done
echo "ok $NAME"
