#!/bin/sh
# The process ends at every named place of commit, flush, start, restore, replay and stop (worker/crash_point.h), one place after the other.
# Those of a backfill are test_backfill.sh's. Mostly it waits, so the places are shared out among some prefixes. ONLY=regular expression: those places alone.
. "$(dirname "$0")/lib.sh"
CHAINS=3

! grep -q CRASH_POINT "$BUILD/s4rec" || fail "the released program has crash points"
points=$(grep -rhoE 'crash_point\("[^"]+"' worker --include='*.c' | cut -d'"' -f2 | grep -v '^backfill')
[ "$(echo "$points" | sort | uniq -d)" = "" ] || fail "two places have one name: $(echo "$points" | sort | uniq -d)"

dies_at() { # dies_at POINT[:N] FLUSH-MS
	# shellcheck disable=SC2046
	crashes "$1" $(worker "$P" --until end --state.flush.ms "$2")
}
try() {
	case $1 in
	restore.*) dies_at flush.settled 50; dies_at "$1" 50 ;; # state must be there
	replay.*) dies_at commit.after_end:3 3600000; dies_at "$1" 50 ;; # and here commits behind it
	txn.among_rows) dies_at "$1:150" 50 ;;
	commit.*) dies_at "$1:2" 50 ;;
	*) dies_at "$1" 50 ;;
	esac
}
# A new model first, then whatever comes while there is input, at last how it stops.
all="$(echo "$points" | grep new_model) $(echo "$points" | grep -v '^stop\|new_model') $(echo "$points" | grep '^stop')"
chain() {
	P=${PREFIX}_$1 TMP=$TMP/$1 i=0
	mkdir "$TMP"
	trap cleanup EXIT
	prefix_new "$P"; follow "$P"
	for point in $all; do
		i=$((i + 1))
		[ $((i % CHAINS)) = "$1" ] && echo "$point" | grep -qE "${ONLY:-.}" || continue
		try "$point"
	done
	through "$P"
	as_if_nothing_happened "$P"
}
running=
for c in $(seq 0 $((CHAINS - 1))); do
	(chain "$c") & running="$running $!"
done
failed=0
for pid in $running; do wait "$pid" || failed=1; done # each to its end: it clears up itself
[ "$failed" = 0 ] || fail "said above"
echo "ok $NAME: $(echo "$points" | wc -l) points"
