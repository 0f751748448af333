#!/bin/sh
# The n-th allocation fails, for many n: the process says so in one line and ends with 71, or can do without; nothing is lost.
. "$(dirname "$0")/lib.sh"

reference
P=${PREFIX}_p; prefix_new "$P"; follow "$P"
refused=0 n=1
while :; do
	code=0
	# shellcheck disable=SC2046
	ALLOC_FAIL=$n LD_PRELOAD=$BUILD/faults/alloc.so timeout 60 "$S4REC" $(worker "$P" --until end --state.flush.ms 50) >"$TMP/alloc.log" 2>&1 || code=$?
	logged '^allocation refused' "$TMP/alloc.log" || break # there are not so many: it is through
	refused=$((refused + 1))
	case $code in
	0) ;;
	71) [ "$(grep -c 'memory' "$TMP/alloc.log")" = 1 ] || fail "allocation $n: exit 71, but not one line says why: $(tail -n 5 "$TMP/alloc.log")" ;;
	*) fail "allocation $n: exit $code: $(tail -n 5 "$TMP/alloc.log")" ;;
	esac
	[ "$code" != 0 ] || break
	n=$((n + n / ${STEP:-3} + 1))
done
[ "$refused" -ge 10 ] || fail "only $refused allocations were refused"
through "$P"
as_if_nothing_happened "$P"
echo "ok $NAME: $refused allocations refused, the last one the $n-th"
