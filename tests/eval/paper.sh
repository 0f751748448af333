#!/bin/sh
# paper.sh DIR - the tables of the paper (Wei et al., WWW 2024) for this program: `make eval-paper DATA=DIR`. No broker. DIR holds
# beauty_sequences.txt and ml-1m_sequences.txt, which are not part of this repository: one user a line, the user and then its items in
# time order. Per file: each loss left out, K, lambda, and the training time until the validation reaches a quality.
#
# Takes hours. Every run's output is kept in $BUILD/eval/paper, and a run that is finished there is not run again: stop it and go on later,
# or remove a file to have that run again. A run is known by its command alone: after a change of the program start with an empty folder.
#
#     SEEDS=3             seeds of the main rows; the others have one
#     FILES="beauty"      only this file
#     ROWS="main K"       only these parts, of: main, bce, K, lambda, time, page
#     EPOCHS="32 ml-1m=12"  epochs of every run, or of those of one file
#     further options after DIR go to every run, e.g. --threads 4
set -eu
usage() {
	echo "usage: paper.sh DIR [OPTION ...] (make eval-paper DATA=DIR). DIR must hold beauty_sequences.txt, ml-1m_sequences.txt or both:" >&2
	echo "one user a line, the user's id and then the ids of its items in time order, between blanks" >&2
	exit 64
}
DIR=${1:-}
[ $# -eq 0 ] || shift
if [ -z "$DIR" ] && [ -t 0 ]; then
	printf 'paper.sh: folder with beauty_sequences.txt, ml-1m_sequences.txt: ' >&2
	read -r DIR
fi
[ -n "$DIR" ] || usage
OUT=$BUILD/eval/paper
: "${SEEDS:=3}" "${FILES:=beauty ml-1m}" "${ROWS:=main bce K lambda time page}" "${EPOCHS:=32}"
mkdir -p "$OUT"

# The last word of EPOCHS that is for all files, or for this one.
epochs_of() {
	epochs=32
	for word in $EPOCHS; do
		case $word in "$1="*) epochs=${word#*=} ;; *=*) ;; *) epochs=$word ;; esac
	done
	echo "$epochs"
}

# What all rows share: that of beauty.properties, so that a row differs from the next one in its own options only.
options_of() {
	own=
	[ "$1" != ml-1m ] || own=" --windows 25 --dropout 0.2"
	echo "--dropout 0.5 --learning.rate 0.002 --warmup.steps 0 --schedule cosine --clip 0 --batch.users 256 --epochs $(epochs_of "$1")$own"
}

# run FILE ROW SEED OPTIONS: the row's output in $OUT/FILE.ROW.SEED.out, made unless it is there and of this command
run() {
	log=$OUT/$1.$2.$3.out
	file=$DIR/$1_sequences.txt
	options="$(options_of "$1") $4 $EXTRA --seed $3"
	command=$(echo "$BUILD/s4rec eval loo $file $options" | tr -s ' ')
	if [ -f "$log" ] && [ "$(head -n 1 "$log")" = "$command" ]; then
		return 0
	fi
	echo "paper.sh: $(date +%H:%M:%S) $command" >&2
	echo "$command" >"$log.part"
	# shellcheck disable=SC2086 # options are words
	if "$BUILD/s4rec" eval loo "$file" $options --report "$OUT/$1.$2.$3.html" >>"$log.part" 2>"$log.err"; then
		mv "$log.part" "$log"
	else
		echo "paper.sh: failed, see $log.err" >&2
		failed=1
	fi
}

# row FILE ROW SEEDS OPTIONS: its runs, then its line of the table
row() {
	set -- "$1" "$2" "$3" "$4" "$1.$2"
	seed=1
	while [ "$seed" -le "$3" ]; do
		run "$1" "$2" "$seed" "$4"
		seed=$((seed + 1))
	done
	seed=1
	while [ "$seed" -le "$3" ]; do
		[ ! -f "$OUT/$5.$seed.out" ] || cat "$OUT/$5.$seed.out"
		seed=$((seed + 1))
	done | awk -v file="$1" -v row="$2" -v options="$4" '
		function value(name,  part, x) { split($0, part, " " name "="); split(part[2], x, " "); return x[1] + 0 }
		function add(k, x) { sum[k] += x; square[k] += x * x }
		function cell(k,  m, v) { m = sum[k] / n; v = n > 1 ? (square[k] - n * m * m) / (n - 1) : 0
			return sprintf("%.4f", m) (n > 1 ? sprintf(" +-%.4f", v > 0 ? sqrt(v) : 0) : "") }
		/^test / { n++; add("h5", value("HR@5")); add("h20", value("HR@20")); add("n5", value("NDCG@5")); add("all", value("NDCG@20")) }
		/^head / { add("head", value("NDCG@20")) }
		/^tail / { add("tail", value("NDCG@20")) }
		/^few / { add("few", value("NDCG@20")); fews += value("users") }
		/^time.to=/ { time = time ? time "; " $0 : $0 }
		/ chosen / { add("s", value("train_s")) }
		END { if (!n) { printf "| %s %s | failed or not run |\n", file, row; exit }
			printf "| %s %s | %d | %s | %s | %s | %s | %s | %s | %s | %.0f | `%s` |\n", file, row, n, cell("h5"), cell("h20"), cell("n5"), cell("all"),
			       cell("head"), cell("tail"), fews ? cell("few") : "-", sum["s"] / n, options
			if (time) print "| | " time " |" }' >>"$OUT/table.new"
}

# Training seconds until the validation's NDCG@20 reaches what is good for that file.
time_to() { case $1 in beauty) echo "--time.to 0.062" ;; *) echo "--time.to 0.150" ;; esac; }

# losses ALPHA BETA1 BETA2 LAMBDA: weights of clustering, contrast, distillation and adversary, whatever the defaults are
losses() { echo "--alpha $1 --beta1 $2 --beta2 $3 --lambda $4"; }
ALL=$(losses 0.1 0.1 0.1 0.1)

# loss_rows FILE PREFIX OPTIONS: each loss alone and with others. clust+ckd, then clust+ckd+adv are the paper's steps, which have no contrast.
loss_rows() {
	row "$1" "$2sr-only" "$SEEDS" "$(losses 0 0 0 0)${3:+ $3}"
	row "$1" "$2clust" "$SEEDS" "$(losses 0.1 0 0 0)${3:+ $3}"
	row "$1" "$2scl" "$SEEDS" "$(losses 0 0.1 0 0)${3:+ $3}"
	row "$1" "$2ckd" "$SEEDS" "$(losses 0 0 0.1 0)${3:+ $3}"
	row "$1" "$2adv" "$SEEDS" "$(losses 0 0 0 0.1)${3:+ $3}"
	row "$1" "$2clust+ckd" "$SEEDS" "$(losses 0.1 0 0.1 0)${3:+ $3}"
	row "$1" "$2clust+ckd+adv" "$SEEDS" "$(losses 0.1 0 0.1 0.1)${3:+ $3}"
	row "$1" "$2without-adv" "$SEEDS" "$(losses 0.1 0.1 0.1 0)${3:+ $3}"
	row "$1" "$2kmeans" "$SEEDS" "$ALL --cluster kmeans${3:+ $3}"
}
main_rows() {
	row "$1" all-five "$SEEDS" "$ALL $(time_to "$1")"
	loss_rows "$1" "" ""
}
bce_rows() {
	bce="--loss bce --negatives 1 --cosine false --low.pass false --learning.rate 0.001 --schedule constant"
	row "$1" bce-all-five "$SEEDS" "$ALL $bce"
	loss_rows "$1" bce- "$bce"
}
K_rows() {
	for k in 32 64 256 512; do # 128 is all-five
		row "$1" "K=$k" 1 "$ALL --prototypes $k"
	done
}
lambda_rows() {
	for l in 0.01 0.5 1; do # 0 is without-adv, 0.1 all-five
		row "$1" "lambda=$l" 1 "$(losses 0.1 0.1 0.1 "$l")"
	done
}
# The same question to the sampled softmax, all five losses on; full softmax is all-five.
time_rows() {
	row "$1" sampled-512 1 "$ALL --loss sampled --negatives 512 $(time_to "$1")"
	row "$1" sampled-2048 1 "$ALL --loss sampled --negatives 2048 $(time_to "$1")"
}

# The paper's figures on one page, $OUT/FILE.page.1.html: lambda and K, head users per prototype with and without the adversary. Goes on where it stopped only
# with the next file.
page_rows() {
	row "$1" page 1 "$ALL --sweep lambda=0,0.01,0.1,0.5,1;prototypes=32,64,128,256,512"
}

failed=0
EXTRA=$*
found=0
for name in $FILES; do
	[ ! -r "$DIR/${name}_sequences.txt" ] || found=1
done
[ $found = 1 ] || { echo "paper.sh: $DIR holds none of: $FILES" >&2; usage; }
cat >"$OUT/table.new" <<EOF
All rows: s4rec eval loo FILE $(options_of beauty) $EXTRA and what stands in the last column; ml-1m besides: $(options_of ml-1m).
Mean and standard deviation over the seeds, test of the epoch that validation chose. head: the fifth of the users with the longest histories,
tail: the others, few: those with at most five events in all.
all-five is K=128, lambda=0.1, full softmax; without-adv is lambda=0. The line below a row with --time.to tells the training time of each seed until then.

| row | seeds | HR@5 | HR@20 | NDCG@5 | NDCG@20 | head NDCG@20 | tail NDCG@20 | few NDCG@20 | train s | own options |
|---|---|---|---|---|---|---|---|---|---|---|
EOF
for name in $FILES; do
	[ -r "$DIR/${name}_sequences.txt" ] || { echo "paper.sh: $DIR/${name}_sequences.txt is not there: skipped" >&2; continue; }
	for part in $ROWS; do
		case $part in main | bce | K | lambda | time | page) "${part}_rows" "$name" ;; *) echo "paper.sh: no rows '$part'" >&2; exit 64 ;; esac
	done
done
mv "$OUT/table.new" "$OUT/table.md"
cat "$OUT/table.md"
echo "paper.sh: reports and logs are in $OUT" >&2
exit $failed
