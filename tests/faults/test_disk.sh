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
# A broker whose only disk fails stops itself. Kafka 4.3.1 as a single node, restarted, ends a transaction that outlived its time before its partitions
# have a leader again, and then drops the markers: whoever reads behind it waits for ever, and all that a worker can do is to name it. So the
# transaction's time is long here (the next worker ends it), and where the disk failed in the midst of an end, another broker is filled.
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
	sleep 1 # the markers of its last commit are on all partitions
	for block in 64k 4k; do dd if=/dev/zero bs=$block >>"$dir/filler" 2>/dev/null || :; done
	# the worker meanwhile leaves with 69 or 75, or waits
	# shellcheck disable=SC2046
	code=0; timeout -s KILL 15 "$S4REC" $(worker "$P" --until end --connect.timeout.ms 3000 --transaction.timeout.ms 60000) >"$TMP/full.log" 2>&1 || code=$?
	left=$code
	case $code in 69 | 75 | 137) ;; *) fail "a full disk ends it with $code: $(tail -n 4 "$TMP/full.log")" ;; esac
	rm "$dir/filler"
	tests/broker/broker.sh kill "$dir"
	tests/broker/broker.sh start "$dir" >"$TMP/broker.out" || fail "no broker"
	(through "$P" --transaction.timeout.ms 60000) # fails in a shell of its own
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
