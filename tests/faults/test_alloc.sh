#!/bin/sh
# The n-th allocation fails, for many n: the process says so in one line and ends with 71, or can do without; nothing is lost.
. "$(dirname "$0")/lib.sh"

refused=0
# fails N[:BYTES]: 0 when there was such an allocation, of a worker on $P
fails() {
	code=0
	# shellcheck disable=SC2046
	ALLOC_FAIL=$1 LD_PRELOAD=$BUILD/faults/alloc.so timeout 60 "$S4REC" $(worker "$P" --until end --state.flush.ms "$flush_ms") >"$TMP/alloc.log" 2>&1 || code=$?
	logged '^allocation refused' "$TMP/alloc.log" || return 1
	refused=$((refused + 1))
	case $code in
	0) ;; # it could do without
	71) [ "$(grep -c memory "$TMP/alloc.log")" = 1 ] || fail "allocation $1: exit 71, but not one line says why: $(tail -n 5 "$TMP/alloc.log")" ;;
	*) fail "allocation $1: exit $code: $(tail -n 5 "$TMP/alloc.log")" ;;
	esac
}
# What a slice of a flush is queued by, 16 bytes: without it the flush would lack rows. It is the only flush of a run, at its end: a later one would
# write again what one before it has lost.
P=${PREFIX}_q flush_ms=3600000; prefix_new "$P"; follow "$P"
export ALLOC_POINT=flush.before_copy
fails 1:16 || fail "no slice of the last flush was refused"
[ "$code" = 71 ] || fail "a flush lacks a slice, and the worker ends with $code"
unset ALLOC_POINT
through "$P"
as_if_nothing_happened "$P"

P=${PREFIX}_p flush_ms=50; prefix_new "$P"; follow "$P"
n=1
while fails "$n"; do
	n=$((n + n / ${STEP:-2} + 1))
done
[ "$refused" -ge 10 ] || fail "only $refused allocations were refused"
through "$P"
as_if_nothing_happened "$P"
echo "ok $NAME: $refused allocations refused, the last one the $n-th"
