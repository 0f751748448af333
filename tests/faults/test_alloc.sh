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
	cat "$TMP/alloc.log" >>"$TMP/refused"
	case $code in
	0) ;; # it could do without
	71) [ "$(grep -c memory "$TMP/alloc.log")" = 1 ] || fail "allocation $1: exit 71, but not one line says why: $(tail -n 5 "$TMP/alloc.log")" ;;
	*) fail "allocation $1: exit $code: $(tail -n 5 "$TMP/alloc.log")" ;;
	esac
}
# what a slice of a flush is queued by, 16 bytes: without it the flush would lack rows. First the only flush of a run, at its end, since a later one
# may write again what one before it has lost.
Q=${PREFIX}_q; prefix_new "$Q"; follow "$Q"
P=$Q flush_ms=3600000
for n in 1 2 3 4; do fails "$n:16" || :; done
logged 'stopped code=71 step=[1-9]' "$TMP/refused" || fail "no slice of the last flush was refused"
through "$Q"
as_if_nothing_happened "$Q"

P=${PREFIX}_p flush_ms=50; prefix_new "$P"; follow "$P"
for n in 1 2 3 4; do fails "$n:16" || :; done
n=1
while fails "$n"; do
	n=$((n + n / ${STEP:-2} + 1))
done
[ "$refused" -ge 10 ] || fail "only $refused allocations were refused"
through "$P"
as_if_nothing_happened "$P"
echo "ok $NAME: $refused allocations refused, the last one the $n-th"
