#!/bin/sh
# A worker that was stopped for longer than its transactions may last, then goes on beside its successor; two workers of one id at once.
# They publish nothing, and end with 75.
. "$(dirname "$0")/lib.sh"

P=${PREFIX}_p; prefix_new "$P"; follow "$P"

# 1. two at once, again and again: each start takes the lead from the one before
older='' fenced=0
left() { # left PID
	code=0; wait "$1" || code=$?
	case $code in 75) fenced=$((fenced + 1)) ;; 137) ;; *) fail "a twin ends with $code" ;; esac
}
for k in 1 2 3 4 5 6; do
	[ "$k" -le 3 ] || [ "$fenced" = 0 ] || break # on a busy machine one may end before the next has begun
	# the last one must leave some input, too
	# shellcheck disable=SC2046
	DELAY_POINT=commit.before_begin:3 CRASH_POINT=commit.after_end:6 "$S4REC" $(worker "$P" --until end --take.over --transaction.timeout.ms 10000) >"$TMP/twin$k.log" 2>&1 & pid=$!
	[ -z "$older" ] || left "$older"
	older=$pid
	eventually 60 logged ' train events=\|replay done\|new model' "$TMP/twin$k.log"
done
left "$older"
[ "$fenced" -ge 1 ] || fail "no twin was fenced: nothing was tested"

# 2. stopped amid a transaction, or between two; woken while its successor works, or when that is through with its part
zombies=0
for when in commit.before_end commit.before_offsets commit.after_end flush.before_end; do
	# the process stops itself just there
	# shellcheck disable=SC2046
	STOP_POINT=$when:3 "$S4REC" $(worker "$P" --until end --election.timeout.ms 2500) >"$TMP/zombie.log" 2>&1 & zombie=$!
	eventually 60 logged "^stop point $when" "$TMP/zombie.log"
	case $when in *before*) sleep 3 ;; esac # transaction.timeout.ms is 2000, and the broker looks every second
	# shellcheck disable=SC2046
	DELAY_POINT=commit.before_offsets:2 CRASH_POINT=commit.after_end:4 "$S4REC" $(worker "$P" --until end --transaction.timeout.ms 10000) >"$TMP/successor.log" 2>&1 & successor=$!
	case $when in
	*before_offsets) eventually 60 logged '^delay point' "$TMP/successor.log" ;; # woken while its successor's transaction is open
	*) ends "$successor" 137 ;;
	esac
	kill -CONT "$zombie"
	ends "$zombie" 75
	# the woken one may get its old place in the group back for the moment that it takes to end, and then the successor ends, too (election.h)
	case $when in
	*before_offsets)
		code=0; wait "$successor" || code=$?
		case $code in 137) ;; 75) ! grep -q _FENCED "$TMP/successor.log" || fail "the zombie fenced its successor" ;; *) fail "the successor ends with $code" ;; esac ;;
	esac
	zombies=$((zombies + 1))
done

# 3. stopped amid its restore, with the end of the cuts known and the state still to be read; its successor commits and flushes
# shellcheck disable=SC2046
STOP_POINT=replay.begins "$S4REC" $(worker "$P" --until end --election.timeout.ms 2500) >"$TMP/restoring.log" 2>&1 & zombie=$!
eventually 60 logged '^stop point' "$TMP/restoring.log"
# shellcheck disable=SC2046
CRASH_POINT=flush.after_end:3 "$S4REC" $(worker "$P" --until end --take.over --election.timeout.ms 1000) >"$TMP/successor.log" 2>&1 & successor=$!
ends "$successor" 137
kill -CONT "$zombie"
ends "$zombie" 75
grep -q 'since this one began to restore' "$TMP/restoring.log" || fail "the zombie does not say why it ends: $(tail -n 3 "$TMP/restoring.log")"
zombies=$((zombies + 1))

# 4. as in 2., but its lead outlives its transaction: nobody tells it at once that another one leads, so it must not abort by itself
# shellcheck disable=SC2046
STOP_POINT=commit.before_offsets:3 "$S4REC" $(worker "$P" --until end --election.timeout.ms 12000) >"$TMP/leading.log" 2>&1 & zombie=$!
eventually 60 logged '^stop point' "$TMP/leading.log"
sleep 3
# shellcheck disable=SC2046
DELAY_POINT=commit.before_offsets:2 CRASH_POINT=commit.after_end:4 "$S4REC" $(worker "$P" --until end --take.over --election.timeout.ms 1000 --transaction.timeout.ms 10000) >"$TMP/successor.log" 2>&1 & successor=$!
eventually 60 logged '^delay point' "$TMP/successor.log"
kill -CONT "$zombie"
ends "$zombie" 75
code=0; wait "$successor" || code=$?
! grep -q _FENCED "$TMP/successor.log" || fail "the zombie fenced its successor: $(grep _FENCED "$TMP/successor.log" | head -n 1)"
case $code in 137|75) ;; *) fail "the successor ends with $code" ;; esac
zombies=$((zombies + 1))

through "$P"
as_if_nothing_happened "$P"
echo "ok $NAME: $zombies zombies, $fenced twins fenced"
