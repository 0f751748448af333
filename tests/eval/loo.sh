#!/bin/bash
# loo.sh DIR - leave-one-out on the files that papers use: `make eval-loo DATA=DIR`. No broker. Each file of DIR that is there is trained
# with the options in NAME.properties beside this script; its test's NDCG@20 must reach what stands there. FILES="beauty" for one of
# them; further options follow DIR, e.g. --seeds 3. Minutes for Beauty, a quarter of an hour for ML-1M, on two free cores.
set -euo pipefail
DIR=${1:?usage: loo.sh DIR [OPTION ...] (DIR with beauty_sequences.txt, ml-1m_sequences.txt)}
shift
HERE=$(dirname "$0")
failed=0
for name in ${FILES:-beauty ml-1m}; do
	file=$DIR/${name}_sequences.txt
	[ -r "$file" ] || { echo "loo.sh: $file is not there: skipped"; continue; }
	"$BUILD/s4rec" eval loo "$file" --config "$HERE/$name.properties" "$@" | tee "$BUILD/loo_$name.out" || { failed=1; continue; }
	awk -v want="$(sed -n 's/^# at least: //p' "$HERE/$name.properties")" -v name="$name" '
		/^test / { split($0, part, "NDCG@20="); got = part[2] + 0 }
		END { if (got < want + 0) { print "loo.sh: " name ": NDCG@20 " got " is below " want; exit 1 } }' "$BUILD/loo_$name.out" || failed=1
done
exit $failed
