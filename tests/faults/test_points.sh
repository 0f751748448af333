#!/bin/sh
# The process ends at every named place of commit, flush, start, restore, replay and stop (worker/crash_point.h), one place after the other.
. "$(dirname "$0")/lib.sh"

! grep -q CRASH_POINT "$BUILD/s4rec" || fail "the released program has crash points"
reference
points=$(grep -rhoE 'crash_point\("[^"]+"' worker --include='*.c' | cut -d'"' -f2)
[ "$(echo "$points" | sort | uniq -d)" = "" ] || fail "two places have one name: $(echo "$points" | sort | uniq -d)"
grep -qE "${ONLY:-.}" <<END || fail "no point fits ONLY=$ONLY"
$points
END

P=${PREFIX}_p; prefix_new "$P"; follow "$P"
dies_at() {
	# shellcheck disable=SC2046
	CRASH_POINT=$1 "$S4REC" $(worker "$P" --until end --state.flush.ms "$2") >"$TMP/crash.log" 2>&1 & pid=$!
	PIDS="$PIDS $pid"
	ends "$pid" 137
	logged "^crash point $1" "$TMP/crash.log" || fail "$1: it ended elsewhere"
}
# A new model first, then whatever comes while there is input, at last how it stops.
count=0
for point in $(echo "$points" | grep new_model) $(echo "$points" | grep -v '^stop\|new_model') $(echo "$points" | grep '^stop'); do
	count=$((count + 1))
	echo "$point" | grep -qE "${ONLY:-.}" || continue
	case $point in
	restore.*) [ "$count" = 0 ] || dies_at "flush.settled" 50; dies_at "$point" 50 ;; # state must be there
	replay.*) dies_at "commit.after_end:3" 3600000; dies_at "$point" 50 ;; # and here commits behind it
	txn.among_rows) dies_at "$point:150" 50 ;;
	commit.*) dies_at "$point:2" 50 ;;
	*) dies_at "$point" 50 ;;
	esac
done
through "$P"
as_if_nothing_happened "$P"
echo "ok $NAME: $count points"
