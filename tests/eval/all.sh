#!/bin/bash
# all.sh DIR - every table on real data: `make eval DATA=DIR`. Says which files are expected and where, leaves out what is absent, and runs the rest: leave-one-out,
# test-then-train and its report in a browser, the ablation, the answers to drift (of synthetic streams), the replay through Kafka, the whole click stream through Kafka; with PAPER=1 the paper's tables, too. Hours.
# Each part is a script of this folder, says more about itself, and takes its own variables (EVENTS, SEEDS, EPOCHS ...). PARTS="loo replay" runs these
# only. All parts are run, whatever the others end with; fails when one of them did.
set -u
DIR=${1:-}
HERE=$(dirname "$0")
: "${PARTS:=loo prequential browser ablation drift replay globo_kafka${PAPER:+ paper}}"
export BUILD=${BUILD:-build}
[ -n "$DIR" ] || { echo "all.sh: make eval DATA=folder; the folder should hold:"; DIR=DATA; }
for file in beauty_sequences.txt ml-1m_sequences.txt beauty_events.tsv.zst globo_clicks_by_time.csv.zst; do
	if [ -r "$DIR/$file" ]; then echo "$DIR/$file: there"; else echo "$DIR/$file: absent: skipped"; fi
done
failed=
part() { # part NAME COMMAND...
	local name=$1 code=0
	shift
	echo "== $name"
	"$@" || code=$?
	[ "$code" = 0 ] || failed="$failed $name"
}
broker() { "$HERE/../broker/broker.sh" run "$BUILD/eval/broker" -- "$@"; }
# absent FILE...: none of them is there
absent() { for file; do [ ! -r "$DIR/$file" ] || return 1; done; }
mkdir -p "$BUILD/eval"
for name in $PARTS; do
	case $name in
	loo) part loo "$HERE/loo.sh" "$DIR" ;;
	prequential) part prequential "$HERE/prequential.sh" "$DIR" ;;
	browser) part browser "$HERE/browser.sh" ;;
	ablation) part ablation "$HERE/ablation.sh" "$DIR" ;;
	drift) part drift "$HERE/drift.sh" ;;
	replay) absent beauty_events.tsv.zst || part replay broker "$HERE/replay.sh" "$DIR" ;;
	globo_kafka) absent globo_clicks_by_time.csv.zst || part globo_kafka broker "$HERE/globo_kafka.sh" "$DIR" ;;
	paper) absent beauty_sequences.txt ml-1m_sequences.txt || part paper "$HERE/paper.sh" "$DIR" ;;
	*) echo "all.sh: no part '$name'" >&2; exit 64 ;;
	esac
done
[ -z "$failed" ] || { echo "all.sh: failed:$failed" >&2; exit 1; }
