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
# A broker whose only disk fails stops itself, and Kafka 4.3.1 on a single node may then lose the end of a transaction that it had decided: it looks for
# the leader of a partition before it knows the topics again. Whoever reads behind that waits for ever, and all that a worker can do is to name it.
lost() { grep -q 'where Kafka has lost it' "$TMP/through.log"; }
filled() {
	rm -rf "${dir:?}"/*
	tests/broker/broker.sh start "$dir" >"$TMP/broker.out" || fail "no broker"
	BROKER=$(cat "$dir/address"); S4REC_BOOTSTRAP_SERVERS=$BROKER
	events "$TMP/events.jsonl" 3000
	load faults_input "$TMP/events.jsonl"
	undisturbed ref "$TMP/ref.dump"
	P=disk; prefix_new "$P"; follow "$P"
	# shellcheck disable=SC2046
	CRASH_POINT=commit.after_end:5 "$S4REC" $(worker "$P" --until end) >"$TMP/crash.log" 2>&1 && fail "it did not end" || :
	df -m "$dir" | tail -n 1
	dd if=/dev/zero of="$dir/filler" bs=64k 2>/dev/null || :
	# the worker meanwhile leaves with 69 or 75, or waits
	# shellcheck disable=SC2046
	code=0; timeout -s KILL 15 "$S4REC" $(worker "$P" --until end --connect.timeout.ms 3000) >"$TMP/full.log" 2>&1 || code=$?
	left=$code
	case $code in 69 | 75 | 137) ;; *) fail "a full disk ends it with $code: $(tail -n 4 "$TMP/full.log")" ;; esac
	rm "$dir/filler"
	tests/broker/broker.sh kill "$dir"
	tests/broker/broker.sh start "$dir" >"$TMP/broker.out" || fail "no broker"
	(through "$P") # fails in a shell of its own
}
for try in 1 2 3; do
	if filled; then
		stop_following
		judge "$TMP/$P.dump" "$P" "$TMP/ref.dump" ref 7
		echo "ok $NAME: the worker left with $left, try $try"
		exit 0
	fi
	lost || exit 1
	kill -KILL "$FOLLOWER"; tests/broker/broker.sh kill "$dir"
done
fail "Kafka lost a transaction three times"
