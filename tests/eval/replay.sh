#!/bin/bash
# replay.sh DIR - is what comes out of Kafka as good as training from the file? `make eval-replay DATA=DIR`. DIR holds beauty_events.tsv.zst (a header with
# `timestamp`, `user`, `item`; sorted by time) and beauty_sequences.txt (a line per user: the user and the same items), which are not part of this repository.
# Each user's last two events are withheld from the topic; `train` replays the others in time order, then goes EPOCHS times over the user store; the model is
# exported and asked for what was withheld. Beside it `eval loo` trains as many epochs on the file. NDCG@20 and HR@20 of the first may be 3 % below the
# second at most. Needs a broker: BROKER=host:port.
#
#     EPOCHS=20       of both
#     further options after DIR go to all, e.g. --width 128
set -euo pipefail
DIR=${1:?usage: replay.sh DIR [OPTION ...] (DIR with beauty_events.tsv.zst, beauty_sequences.txt)}
shift
EVENTS=$DIR/beauty_events.tsv.zst SEQUENCES=$DIR/beauty_sequences.txt
for file in "$EVENTS" "$SEQUENCES"; do
	[ -r "$file" ] || { echo "replay.sh: $file is not there: skipped"; exit 0; }
done
: "${EPOCHS:=20}"
BATCH=256
S4REC=$BUILD/s4rec
export S4REC_BOOTSTRAP_SERVERS="$BROKER" S4REC_TOPIC_PREFIX="replay_$$"
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
trap 'exit 130' INT TERM HUP

# What both share. The schedule ends with the last epoch of either: eval knows its steps, train is told.
set -- --dropout 0.5 --learning.rate 0.002 --warmup.steps 0 --schedule cosine --clip 0 --batch.users $BATCH --alpha 0 --beta1 0 --beta2 0 --lambda 0 "$@"
"$S4REC" topics create >/dev/null 2>"$TMP/log" || { cat "$TMP/log" >&2; exit 1; }
"$S4REC" load --leave-out 2 "$EVENTS" 2>&1 | tee "$TMP/load"
loaded=$(sed -n 's/^loaded \([0-9]*\) events.*/\1/p' "$TMP/load")
users=$(wc -l <"$SEQUENCES")
# steps of the log, each of some $BATCH events and more, and of the epochs
steps=$((loaded / BATCH + EPOCHS * ((users + BATCH - 1) / BATCH)))
"$S4REC" train --until end --epochs "$EPOCHS" --schedule.steps $steps --progress.ms 30000 --eval.sample 0.1 "$@"
"$S4REC" export "$TMP/model" --schedule.steps $steps --eval.sample 0.1 "$@"
"$S4REC" eval loo "$SEQUENCES" --model.in "$TMP/model" --schedule.steps $steps "$@" | tee "$TMP/replayed"
"$S4REC" eval loo "$SEQUENCES" --epochs "$EPOCHS" "$@" | tee "$TMP/trained"
awk '
	function value(name,  part, x) { split($0, part, " " name "="); split(part[2], x, " "); return x[1] + 0 }
	FNR == 1 { which++ }
	/^test / { hr[which] = value("HR@20"); ndcg[which] = value("NDCG@20") }
	END {
		if (!hr[2] || !ndcg[2]) { print "replay.sh: no figures"; exit 1 }
		printf "replayed: HR@20 %.4f NDCG@20 %.4f; from the file: %.4f %.4f; ratio %.3f %.3f\n", hr[1], ndcg[1], hr[2], ndcg[2], hr[1] / hr[2], ndcg[1] / ndcg[2]
		if (hr[1] < .97 * hr[2] || ndcg[1] < .97 * ndcg[2]) { print "replay.sh: more than 3 % below"; exit 1 }
	}' "$TMP/replayed" "$TMP/trained"
