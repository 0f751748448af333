#!/bin/sh
# demo.sh - the whole chain on a stream whose truth is known: history, live phase, queries, and how good it is.
# `make demo`. Needs BROKER and BUILD as the tests do; under 5 minutes on two cores. Fails unless the model clearly beats popularity
# and first-order co-visitation. HISTORY, RATE and LIVE_S change the amounts.
. "$(dirname "$0")/lib.sh"

HISTORY=${HISTORY:-80000} # lines of the stream that are there when the worker starts
RATE=${RATE:-400}          # events a second afterwards
LIVE_S=${LIVE_S:-60}       # for so long
SPACING_MS=400             # event time between two events of the history
export S4REC_CONFIG="$(dirname "$0")/../../worker/demo.properties"
BEGIN_S=$(date +%s)

say() { printf '\n[%3d s] %s\n' "$(($(date +%s) - BEGIN_S))" "$*"; }
# the newest progress line of the worker; field NAME of it
progress() { grep ' train events=' "$TMP/train.log" 2>/dev/null | tail -n 1; }
field() { progress | sed -n "s/.* $1=\([^ /]*\).*/\1/p"; }
show() {
	progress | awk '{ for (i = 1; i <= NF; i++) { p = index($i, "="); if (p) v[substr($i, 1, p - 1)] = substr($i, p + 1) }
		if (v["events"] != "") printf "        %7d learned, %8s, %6d behind, NDCG@20 %.3f (popularity %.3f), %d item rows and %d user rows published\n",
			v["events"], v["rate"], v["lag"], v["ndcg20"], v["popularity_ndcg20"], v["items_published"], v["users_published"] }'
}
alive() { kill -0 "$TRAIN" 2>/dev/null || fail "the worker is gone: $(tail -n 5 "$TMP/train.log")"; }
# caught_up SECONDS: until the worker has read all there is; so long without getting further is a failure
caught_up() {
	i=0 stalled=0 was=
	until [ "$(field lag)" = 0 ] && [ "$(field events)" -gt 0 ]; do
		now="$(field events) $(field lag)"; [ "$now" = "$was" ] || { was=$now; stalled=0; }
		stalled=$((stalled + 1))
		[ $stalled -lt "$1" ] || fail "no progress for $1 s: $(progress)"
		alive; sleep 1; i=$((i + 1))
		[ $((i % 5)) != 0 ] || show
	done
	show
}

say "topics $PREFIX.*, and a history of $HISTORY records"
"$S4REC" topics create >"$TMP/topics.log" 2>&1 || fail "topics create"
START=$(date -u -d "@$(($(date +%s) - HISTORY * SPACING_MS / 1000))" +%Y-%m-%dT%H:%M:%SZ)
"$S4REC" generate --events "$HISTORY" --start "$START" >"$TMP/history.jsonl" 2>"$TMP/generate.log" || fail "generate"
"$S4REC" load - <"$TMP/history.jsonl" >"$TMP/load.log" 2>&1 || fail "load"
sed 's/^/        /' "$TMP/load.log"

say "the worker learns the history (every event is ranked before it is learned)"
"$S4REC" train --eval.out "$TMP/eval.tsv" >"$TMP/train.log" 2>&1 & TRAIN=$!
caught_up 60

say "live: $RATE events a second for $LIVE_S s, event time = now; a reader follows"
LIVE_MS=$(date +%s)000
"$S4REC" read --vectors 0 >"$TMP/follow.jsonl" 2>"$TMP/follow.log" & FOLLOW=$!
"$S4REC" generate --skip "$HISTORY" --events $((RATE * LIVE_S)) --rate "$RATE" --start now --truth "$TMP/truth.tsv" --truth.items "$TMP/items.tsv" \
	2>"$TMP/live.log" | tee "$TMP/live.jsonl" | "$S4REC" load - >"$TMP/load_live.log" 2>&1 & LIVE=$!
i=0
while kill -0 "$LIVE" 2>/dev/null; do
	alive; sleep 1; i=$((i + 1))
	[ $((i % 10)) != 0 ] || show
done
wait "$LIVE" || fail "load of the live phase: $(tail -n 2 "$TMP/load_live.log")"
[ "$(wc -l <"$TMP/live.jsonl")" = $((RATE * LIVE_S)) ] || fail "the generator stopped early: $(cat "$TMP/live.log")"
sleep 1 # the progress line is a second old
caught_up 30

say "SIGTERM: the worker commits what it has and leaves"
kill -TERM "$TRAIN"; code=0; wait "$TRAIN" || code=$?
[ "$code" = 0 ] || fail "the worker exits with $code: $(tail -n 5 "$TMP/train.log")"
sleep 1; kill -TERM "$FOLLOW"; wait "$FOLLOW" || fail "read: $(tail -n 2 "$TMP/follow.log")"
grep ' stopped ' "$TMP/train.log" | sed 's/^/        /'

say "nearest items (cosine of the published vectors), hidden interest in brackets"
# with_interest < lines of `query`: "i3 [3] 0.91  ..."; the last line counts those of interest $1
with_interest() {
	awk -v want="$1" 'BEGIN { FS = "\t" } NR == FNR { interest[$1] = $2; next } { n++; same += interest[$1] == want; if (n <= 6) printf "  %s [%s] %.2f", $1, interest[$1], $2 }
		END { printf "   %d of %d share it\n", same, n }' "$TMP/items.tsv" -
}
grep '^{' "$TMP/live.jsonl" | sed 's/.*"item_id":"\([^"]*\)".*/\1/' | sort | uniq -c | sort -k1,1nr -k2 | awk '{ print $2 }' >"$TMP/by_count"
for nth in 1 40 250; do
	item=$(sed -n "${nth}p" "$TMP/by_count")
	interest=$(awk -v i="$item" '$1 == i { print $2 }' "$TMP/items.tsv")
	"$S4REC" query item "$item" -k 10 >"$TMP/query.tsv" 2>"$TMP/query.log" || fail "query item $item"
	printf '        %-5s [%s], number %d by popularity:' "$item" "$interest" "$nth"
	with_interest "$interest" <"$TMP/query.tsv"
done

say "what two users may want next (dot of the published vectors), hidden interest in brackets"
cat "$TMP/history.jsonl" "$TMP/live.jsonl" | grep -a '^{' | sed 's/^{"user_id":"\([^"]*\)","item_id":"\([^"]*\)".*"event_id":"\([^"]*\)".*/\1 \2 \3/' >"$TMP/clicks"
# a head user and a tail user of the live phase: user, clicks, last items, interest at the last event
awk 'FNR == 1 { file++ } file == 1 && NR > 2 { interest[$1] = $4; next }
	file == 2 { n[$1]++; last[$1] = last2[$1] " " $2; last2[$1] = $2; if ($3 in interest) hidden[$1] = interest[$3] }
	END { for (u in hidden) { if (n[u] > n[head]) head = u; if (n[u] >= 5 && n[u] <= 12 && (tail == "" || u < tail)) tail = u }
		print "head", head, n[head], hidden[head], last[head]; print "tail", tail, n[tail], hidden[tail], last[tail] }' "$TMP/truth.tsv" "$TMP/clicks" >"$TMP/users"
while read -r kind user clicks interest items; do
	"$S4REC" query user "$user" -k 10 >"$TMP/query.tsv" 2>"$TMP/query.log" || fail "query user $user"
	printf '        %s user %s, %d clicks, last %s, hidden interest [%s]:' "$kind" "$user" "$clicks" "$items" "$interest"
	with_interest "$interest" <"$TMP/query.tsv"
done <"$TMP/users"

say "prototypes (which one each published row belongs to)"
"$S4REC" read -e --vectors 0 >"$TMP/rows.jsonl" 2>"$TMP/read.log" || fail "read"
awk 'match($0, /^{"key":"(item|user)\/[^"]*"/) { key = substr($0, RSTART, RLENGTH); p = ""
		if (match($0, /"prototype":[0-9]+/)) p = substr($0, RSTART + 12, RLENGTH - 12); of[key] = p }
	END { for (key in of) if (of[key] != "") { if (key ~ /user\//) { users[of[key]]++; U++ } else { items[of[key]]++; I++ } }
		for (k in users) print "user", users[k]; for (k in items) print "item", items[k] }' "$TMP/rows.jsonl" | sort -k1,1 -k2,2nr |
	awk '{ n[$1]++; sum[$1] += $2; size[$1, n[$1]] = $2; if (n[$1] <= 12) list[$1] = list[$1] " " $2 }
	END { for (k in n) printf "        %ss: %d rows in %d prototypes; largest%s%s, median %d, smallest %d\n", k, sum[k], n[k], list[k], (n[k] > 12 ? " ..." : ""),
		size[k, int((n[k] + 1) / 2)], size[k, n[k]] }'

say "freshness in the live phase"
awk -v from="$LIVE_MS" 'function number(name) { return match($0, "\"" name "\":-?[0-9]+") ? substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3) + 0 : -1 }
	/"key":"model"/ && number("published_ms") >= from { v = number("version"); if (seen[v]++ || number("freshness_p99_ms") <= 0) next
		print number("freshness_p50_ms"), number("freshness_p99_ms") }' "$TMP/follow.jsonl" >"$TMP/freshness"
nth() { sort -n "$TMP/$1.$2" | awk -v q="$3" '{ x[NR] = $1 } END { i = int(q * NR + .999999); print NR ? x[i < 1 ? 1 : i] : "none" }'; }
awk '{ print $1 }' "$TMP/freshness" >"$TMP/freshness.p50"; awk '{ print $2 }' "$TMP/freshness" >"$TMP/freshness.p99"
sed -n 's/.* stopped .*commit_p50_ms=\([^ ]*\) commit_p99_ms=\([^ ]*\).*/\1 \2/p' "$TMP/train.log" | tail -n 1 |
	{ read -r c50 c99 || :
	  echo "$(nth freshness p50 .5) $(nth freshness p99 .99) ${c50:-0} ${c99:-0} $(wc -l <"$TMP/freshness")" |
		awk '{ printf "        event to staged p50 %s ms, p99 %s ms (%d versions); the commit p50 %s ms, p99 %s ms\n        event to visible: p50 about %d ms, p99 at most %d ms\n", $1, $2, $5, $3, $4, $1 + $3, $2 + $4 }'; }

say "how good: each live event ranked among all items before it was learned"
awk 'BEGIN { FS = "\t"; split("best popularity covisit model", name, " ") }
	function score(m, rank) { if (rank == "NA") return; rank += 0; mrr[m] += 1 / (rank + 1); if (rank < 20) { hr[m]++; ndcg[m] += log(2) / log(rank + 2) } }
	/^#/ || $1 == "event_id" || $1 == "step" { next }
	NR == FNR { best[$1] = $3; next }
	$2 in best { n++; score("model", $4); score("popularity", $5); score("covisit", $6); score("best", best[$2]); delete best[$2] }
	END { if (n == 0) { print "no live event was scored"; exit 1 }
		text["popularity"] = "popularity"; text["covisit"] = "co-visitation, first order"; text["model"] = "s4rec"; text["best"] = "best possible (Bayes)"
		printf "        %-28s %8s %8s %8s   over %d events\n", "", "HR@20", "NDCG@20", "MRR", n
		split("popularity covisit model best", order, " ")
		for (i = 1; i <= 4; i++) { m = order[i]; printf "        %-28s %8.4f %8.4f %8.4f\n", text[m], hr[m] / n, ndcg[m] / n, mrr[m] / n }
		half = (ndcg["popularity"] + (ndcg["best"] - ndcg["popularity"]) / 2) / n
		good = ndcg["model"] / n >= half && ndcg["model"] > ndcg["covisit"]
		printf "        asked of s4rec: NDCG@20 of %.4f (half of the way from popularity to the best possible), and above co-visitation: %s\n", half, good ? "reached" : "NOT reached"
		exit !good }' "$TMP/truth.tsv" "$TMP/eval.tsv" || fail "the model is not good enough"
say "done"
