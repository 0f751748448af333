#!/bin/sh
# The demo on a short stream: it gets to its last table, with every method scored on the same events. Whether the model is good enough is
# asked of the full one alone (`make demo`).
# not with sanitizers: the same code as elsewhere, for a minute more
. "$(dirname "$0")/lib.sh"
HISTORY=12000 RATE=400 LIVE_S=5 sh "$(dirname "$0")/demo.sh" >"$TMP/demo.log" 2>&1 || grep -q 'NOT reached' "$TMP/demo.log" || { cat "$TMP/demo.log" >&2; fail "the demo does not get to its end"; }
awk '/over [0-9]+ events/ { n = $(NF - 1) } END { exit n < 1000 }' "$TMP/demo.log" || { cat "$TMP/demo.log" >&2; fail "hardly any live event was scored"; }
for row in popularity co-visitation s4rec 'best possible'; do
	grep -Eq "^ +$row.* 0\.[0-9]*[1-9]" "$TMP/demo.log" || fail "the table has no scores for $row"
done
grep -q 'event to visible: p50 about [1-9]' "$TMP/demo.log" || fail "no freshness"
echo "ok $NAME"
