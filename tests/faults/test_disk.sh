#!/bin/sh
# The broker's disk fills up while a worker works, and is given room again: a broker of its own on a small tmpfs.
. "$(dirname "$0")/lib.sh"

dir=$TMP/full; mkdir "$dir"
if ! mount -t tmpfs -o size=64m tmpfs "$dir" 2>"$TMP/mount.log"; then
	echo "ok $NAME: left out, a tmpfs needs root: $(cat "$TMP/mount.log")"
	exit 0
fi
tidy() { tests/broker/broker.sh kill "$dir" || :; umount -l "$dir" 2>/dev/null || :; }
trap 'code=$?; tidy; (exit $code); cleanup' EXIT
tests/broker/broker.sh start "$dir" >"$TMP/broker.out"
BROKER=$(cat "$dir/address"); S4REC_BOOTSTRAP_SERVERS=$BROKER
"$S4REC" generate --events 3000 --users 300 --items 80 --interests 4 --malformed 0.01 --duplicates 0.002 --late 0.01 >"$TMP/events.jsonl" 2>"$TMP/gen.log"
load faults_input "$TMP/events.jsonl"
undisturbed ref "$TMP/ref.dump"
P=disk; prefix_new "$P"; follow "$P"
# shellcheck disable=SC2046
CRASH_POINT=commit.after_end:5 "$S4REC" $(worker "$P" --until end) >"$TMP/crash.log" 2>&1 && fail "it did not end" || :
df -m "$dir" | tail -n 1
dd if=/dev/zero of="$dir/filler" bs=64k 2>/dev/null || :
# a broker whose only disk fails stops itself; the worker meanwhile leaves with 69 or 75, or waits for it
# shellcheck disable=SC2046
code=0; timeout -s KILL 15 "$S4REC" $(worker "$P" --until end --connect.timeout.ms 3000) >"$TMP/full.log" 2>&1 || code=$?
left=$code
case $code in 69 | 75 | 137) ;; *) fail "a full disk ends it with $code: $(tail -n 4 "$TMP/full.log")" ;; esac
rm "$dir/filler"
tests/broker/broker.sh kill "$dir"
tests/broker/broker.sh start "$dir" >"$TMP/broker.out"
through "$P"
stop_following
judge "$TMP/$P.dump" "$P" "$TMP/ref.dump" ref 7
echo "ok $NAME: the worker left with $left"
