#!/bin/sh
# The wall clock jumps five times a second, hours back and minutes ahead, in a run and in the one that goes on: only what a clock wrote differs.
. "$(dirname "$0")/lib.sh"

P=${PREFIX}_p; prefix_new "$P"; follow "$P"
jumping() { LD_PRELOAD=$BUILD/faults/clock.so "$S4REC" "$@"; }
# shellcheck disable=SC2046
CRASH_POINT=commit.after_end:30 jumping $(worker "$P" --until end) >"$TMP/crash.log" 2>&1 && fail "it did not end" || :
# shellcheck disable=SC2046
jumping $(worker "$P" --until end) >"$TMP/jump.log" 2>&1 || fail "exit $?: $(tail -n 3 "$TMP/jump.log")"
stamps=$(cut -c1-13 "$TMP/jump.log" | sort -u | wc -l)
[ "$stamps" -ge 2 ] || fail "the clock did not jump: $(cut -c1-25 "$TMP/jump.log" | tail -n 3)"
as_if_nothing_happened "$P"
echo "ok $NAME"
