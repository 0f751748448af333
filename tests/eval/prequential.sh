#!/bin/bash
# prequential.sh DIR - test-then-train on the clicks of a news site, beside baselines: `make eval-prequential DATA=DIR`. No broker. DIR holds
# globo_clicks_by_time.csv.zst: the Globo.com clicks (user_id, click_article_id, click_timestamp and more, with a header) in the order of
# time. The first EVENTS (300000) lines are read; further options follow DIR, e.g. --alpha 0. Page and windows in $BUILD/eval. The online model must
# be above every baseline, and above older copies of itself, in HR@20 and NDCG@20 over all events. Ten minutes on one core.
set -euo pipefail
DIR=${1:?usage: prequential.sh DIR [OPTION ...] (DIR with globo_clicks_by_time.csv.zst)}
shift
HERE=$(dirname "$0")
file=$DIR/globo_clicks_by_time.csv.zst
[ -r "$file" ] || { echo "prequential.sh: $file is not there: skipped"; exit 0; }
mkdir -p "$BUILD/eval"
"$BUILD/s4rec" eval prequential "$file" --config "$HERE/globo.properties" --eval.events "${EVENTS:-300000}" --report "$BUILD/eval/globo.html" \
	--eval.out "$BUILD/eval/globo.jsonl" "$@" | tee "$BUILD/eval/globo.out"
# names have blanks: figures are counted from the first number of a row
awk '
	/^events=/ || /^HR@20/ { next }
	{ match($0, / [01]\.[0-9]/); name = substr($0, 1, RSTART); sub(/ +$/, "", name); split(substr($0, RSTART + 1), x, " +"); hr[name] = x[1]; ndcg[name] = x[2] }
	END {
		if (!("online" in hr)) { print "prequential.sh: no row of the online model"; exit 1 }
		for (name in hr)
			if (name != "online" && (hr[name] + 0 >= hr["online"] + 0 || ndcg[name] + 0 >= ndcg["online"] + 0)) {
				print "prequential.sh: " name " is not below the online model"; bad = 1
			}
		exit bad
	}' "$BUILD/eval/globo.out"
