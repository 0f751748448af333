#!/bin/sh
# ablation.sh DIR - what each loss, rehearsal, warm item rows, the logQ correction and users' attributes are worth on a stream: `make eval-ablation DATA=DIR`. No broker. DIR
# holds globo_clicks_by_time.csv.zst, which is not part of this repository: clicks with a header (user_id, click_article_id, click_timestamp) in the
# order of time. Each row is `eval prequential` with the options of globo.properties and its own: mean and spread over seeds of the online model.
#
# Every run's output is kept in $BUILD/eval/ablation, and a run that is finished there is not run again: stop it and go on later, or remove a
# file to have that run again. A run is known by its command alone: after a change of the program start with an empty folder.
#
#     EVENTS=300000       lines of the file that are read; 0 = all
#     SEEDS=3             seeds of each row
#     ROWS="losses"       only these parts, of: losses, rehearse, context, logq, attributes
#     further options after DIR go to every run, e.g. --threads 2
set -eu
DIR=${1:?usage: ablation.sh DIR [OPTION ...] (make eval-ablation DATA=DIR; DIR with globo_clicks_by_time.csv.zst)}
shift
EXTRA=$*
HERE=$(dirname "$0")
FILE=$DIR/globo_clicks_by_time.csv.zst
OUT=$BUILD/eval/ablation
: "${EVENTS:=300000}" "${SEEDS:=3}" "${ROWS:=losses rehearse context logq attributes}"
case $SEEDS in *[!0-9]* | '') echo "ablation.sh: SEEDS=$SEEDS: how many, such as 3" >&2; exit 64 ;; esac
[ -r "$FILE" ] || { echo "ablation.sh: $FILE is not there: skipped"; exit 0; }
mkdir -p "$OUT"
failed=0

# run ROW SEED OPTIONS: the row's output in $OUT/ROW.SEED.out, made unless it is there and of this command
run() {
	log=$OUT/$1.$2.out
	options="--eval.events $EVENTS --eval.retrain.epochs 0 $3 $EXTRA --seed $2"
	command=$(echo "$BUILD/s4rec eval prequential $FILE --config $HERE/globo.properties $options" | tr -s ' ')
	if [ -f "$log" ] && [ "$(head -n 1 "$log")" = "$command" ]; then
		return 0
	fi
	echo "ablation.sh: $(date +%H:%M:%S) $command" >&2
	echo "$command" >"$log.part"
	# shellcheck disable=SC2086 # options are words
	if "$BUILD/s4rec" eval prequential "$FILE" --config "$HERE/globo.properties" $options >>"$log.part" 2>"$log.err"; then
		mv "$log.part" "$log"
	else
		echo "ablation.sh: failed, see $log.err" >&2
		failed=1
	fi
}

# row ROW OPTIONS: its runs, then its line of the table. Figures are counted from the first number of a line: HR@20, NDCG@20 and MRR of all events, then of cold items.
row() {
	seed=1
	while [ "$seed" -le "$SEEDS" ]; do
		run "$1" "$seed" "$2"
		seed=$((seed + 1))
	done
	seed=1
	while [ "$seed" -le "$SEEDS" ]; do
		[ ! -f "$OUT/$1.$seed.out" ] || cat "$OUT/$1.$seed.out"
		seed=$((seed + 1))
	done | awk -v row="$1" -v options="$2" '
		function add(k, x) { sum[k] += x; square[k] += x * x }
		function cell(k,  m, v) { m = sum[k] / n; v = n > 1 ? (square[k] - n * m * m) / (n - 1) : 0
			return sprintf("%.4f", m) (n > 1 ? sprintf(" +-%.4f", v > 0 ? sqrt(v) : 0) : "") }
		/^online / { n++; add("hr", $2); add("ndcg", $3); add("cold_hr", $5); add("cold_ndcg", $6) }
		END { if (!n) { printf "| %s | failed or not run |\n", row; exit }
			printf "| %s | %d | %s | %s | %s | %s | `%s` |\n", row, n, cell("hr"), cell("ndcg"), cell("cold_hr"), cell("cold_ndcg"), options }' >>"$OUT/table.new"
}

losses_rows() { # the base has none of the four losses on z: globo.properties
	row base ""
	row +alpha "--alpha 0.1"
	row +beta1 "--beta1 0.1"
	row +beta2 "--beta2 0.1"
	row +lambda "--lambda 0.1"
	row all "--alpha 0.1 --beta1 0.1 --beta2 0.1 --lambda 0.1"
}
rehearse_rows() {
	for x in 0 0.5 1 3; do row "rehearse=$x" "--rehearse $x"; done
	for x in 0 600000 3600000; do row "rehearse.half.life=$x" "--rehearse.half.life.ms $x"; done
	row rehearse.draw=loss "--rehearse.draw loss"
}
attributes_rows() { row attributes "--map.user.attributes click_deviceGroup,click_country,click_referrer_type --attributes.buckets 512"; }
context_rows() { for x in 0 0.25 0.5 1; do row "item.context=$x" "--item.context $x"; done; }
logq_rows() { for x in true false; do row "sampled,logq=$x" "--loss sampled --logq $x"; done; }

cat >"$OUT/table.new" <<EOF
All rows: s4rec eval prequential FILE, the first $EVENTS lines (0: all), options of globo.properties, $EXTRA and what stands in the last column. The online model over
all ranked events, then over those on cold items; mean and standard deviation over the seeds 1 to $SEEDS.

| row | seeds | HR@20 | NDCG@20 | cold HR@20 | cold NDCG@20 | own options |
|---|---|---|---|---|---|---|
EOF
for part in $ROWS; do
	case $part in losses | rehearse | context | logq | attributes) "${part}_rows" ;; *) echo "ablation.sh: no rows '$part'" >&2; exit 64 ;; esac
done
mv "$OUT/table.new" "$OUT/table.md"
cat "$OUT/table.md"
echo "ablation.sh: logs are in $OUT" >&2
exit $failed
