#!/bin/bash
# drift.sh [OPTION ...] - does an answer to drift pay? `make eval-drift`. No broker, no data but what `s4rec generate` makes: four parts of PART (10000) events
# each, of the same users and items, whose tastes and successors are drawn anew at the end of a part. Test-then-train over each of SEEDS ("1 2 3") such
# streams with drift.response none, rate and rehearse; further options are passed on, e.g. --drift.factor 4. Prints NDCG@20 of the model by where the
# event stands behind the change, the mean over seeds and three changes, and each seed's spread against `none`.
set -euo pipefail
PART=${PART:-10000}
dir=$BUILD/eval
mkdir -p "$dir"
window_ms=$((PART / 10 * 400)) # a tenth of a part: generate spaces events by 400 ms
for seed in ${SEEDS:-1 2 3}; do
	for part in 0 1 2 3; do
		"$BUILD/s4rec" generate --seed $((seed * 100 + part)) --events "$PART" --skip $((part * PART)) --users 1000 --items 600 --interests 10 \
			--malformed 0 --late 0 --duplicates 0 2>"$dir/drift.log" || { cat "$dir/drift.log" >&2; exit 1; }
	done >"$dir/drift.events"
	for response in none rate rehearse; do
		"$BUILD/s4rec" eval prequential "$dir/drift.events" --seed "$seed" --width 32 --layers 1 --batch.users 16 --batch.events 32 --learning.rate 0.003 \
			--threads 1 --drift.response $response --eval.window.ms $window_ms --eval.out "$dir/drift.jsonl" "$@" >"$dir/drift.out" 2>"$dir/drift.log" ||
			{ cat "$dir/drift.log" >&2; exit 1; }
		drifts=$(sed -n 's/^events=.* drifts=\([0-9]*\).*/\1/p' "$dir/drift.out")
		sed -n 's/.*"window_ms":\([0-9]*\),"contestant":"online","split":"all","events":\([0-9]*\),.*"ndcg@20":\[\([0-9.]*\),.*/\1 \2 \3/p' "$dir/drift.jsonl" |
			sed "s/^/$response $seed ${drifts:-?} /"
	done
done | awk -v window_ms="$window_ms" '
	function column(k) { return k % 10 == 0 ? 1 : k % 10 < 5 ? 2 : 3 }
	{
		k = ($4 - 1767225600000) / window_ms # generate begins with 2026
		if (k < 10)
			next
		c = column(k)
		sum[$1, c] += $5 * $6; n[$1, c] += $5; all[$1, $2] += $5 * $6; of[$1, $2] += $5; seeds[$2]; drifts[$1, $2] = $3
	}
	END {
		print "drift.response  first tenth  to the half  the rest  all     alarms  better than none, by seed"
		split("none rate rehearse", order, " ")
		for (i = 1; i <= 3; i++) {
			r = order[i]; total = count = 0; alarms = better = ""
			for (s in seeds) {
				total += all[r, s]; count += of[r, s]
				alarms = alarms (alarms == "" ? "" : ",") drifts[r, s]
				better = better sprintf(" %+.4f", all[r, s] / of[r, s] - all["none", s] / of["none", s])
			}
			printf "%-14s  %-11.4f  %-11.4f  %-8.4f  %.4f  %-6s %s\n", r, sum[r, 1] / n[r, 1], sum[r, 2] / n[r, 2], sum[r, 3] / n[r, 3], total / count, alarms, better
		}
	}'
