#!/bin/bash
# million.sh - does a large catalogue slow the worker down, and does it take what model/README.md says? `make bench-million`. Two synthetic streams of EVENTS
# events through Kafka with the sampled loss: of 12,000 items and 60,000 users, and of a million and five million; the second once more without any ranking. Goals: the
# large one is learned at 75 % or more of the small one's rate, ranking takes 5 % or less of it, and memory is at most 10 % above the formula. The
# second needs some 4 GB of memory and of disk, and with the default half an hour on two cores.
#
#     EVENTS=10000000     of each stream; users beyond that many do not come
#     SMALL="12000 60000" LARGE="1000000 5000000"    items and users
#     SAMPLE=0.002        eval.sample: the share that is ranked
#     OPTIONS=            more for train
set -euo pipefail
: "${EVENTS:=10000000}" "${SMALL:=12000 60000}" "${LARGE:=1000000 5000000}" "${SAMPLE:=0.002}" "${OPTIONS:=}"
S4REC=$BUILD/s4rec
export S4REC_BOOTSTRAP_SERVERS="$BROKER"
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
trap 'exit 130' INT TERM HUP

# fill NAME ITEMS USERS: the stream's topics
fill() {
	export S4REC_TOPIC_PREFIX="million_$1_$$"
	"$S4REC" topics create >/dev/null 2>&1
	"$S4REC" generate --events "$EVENTS" --items "$2" --users "$3" --malformed 0 --late 0 --duplicates 0 2>"$TMP/generate" | "$S4REC" load - 2>"$TMP/load" ||
		{ cat "$TMP/generate" "$TMP/load" >&2; exit 1; }
}
# learn NAME SAMPLE: a model of the stream; its rate, users, items and memory in MB to $TMP/NAME
learn() {
	# shellcheck disable=SC2086 # options are words
	"$S4REC" train --until end --loss sampled --max.items 2000000 --max.users 10000000 --eval.sample "$2" --progress.ms 60000 $OPTIONS 2>"$TMP/train" ||
		{ tail -n 5 "$TMP/train" >&2; exit 1; }
	awk 'function value(name) { return match($0, " " name "=[0-9.]+") ? substr($0, RSTART + length(name) + 2, RLENGTH - length(name) - 2) + 0 : 0 }
		/ train events=/ { events = value("events"); rate = value("rate"); items = value("items"); users = value("users") }
		/ stopped / { rss = value("peak_rss_mb") }
		END { print rate, items, users, rss, events }' "$TMP/train" >"$TMP/$1"
	read -r rate items users rss events <"$TMP/$1"
	echo "$1: events=$events rate=$rate/s items=$items users=$users peak_rss_mb=$rss (eval.sample $2)"
}

# shellcheck disable=SC2086 # two words
fill small $SMALL
learn small "$SAMPLE"
# shellcheck disable=SC2086
fill large $LARGE
learn large "$SAMPLE"
S4REC_TOPIC_PREFIX="million_large2_$$" "$S4REC" topics create --input.topic "million_large_$$.interactions" >/dev/null 2>&1
input="million_large_$$.interactions"
export S4REC_TOPIC_PREFIX="million_large2_$$"
OPTIONS="$OPTIONS --input.topic $input"
learn unranked 0

# The formula of model/README.md for Adam at width 64, two layers and batches of 256 users with as many rehearsed; C for users of the mean length.
awk '
	function power(n,  p) { for (p = 1; p < n; p *= 2); return p }
	FILENAME == ARGV[1] { small = $1 }
	FILENAME == ARGV[2] { large = $1; N = $2; U = $3; rss = $4; events = $5 }
	FILENAME == ARGV[3] { unranked = $1 }
	END {
		for (C = 4; C < events / U; C *= 2);
		if (C > 51) C = 51
		items = N * (4 * 192 + 4 * 64 + 64) + 41 * power(N) + 8 * power(4 * N / 3)
		users = U * (24 * C + 64) + 73 * power(U) + 8 * power(4 * U / 3)
		step = 44 * 64 * 2 * 3 * 50 * 256 * 2 + 25e6
		fixed = (128 + 64 + 64) * 1e6 + 12 * 20000
		want = (items + users + step + fixed) / 1048576
		printf "large / small = %.2f, ranking = %.1f %%, memory %.0f MB of %.0f by the formula\n", large / small, 100 * (1 - large / unranked), rss, want
		if (large < .75 * small) { print "million.sh: the large catalogue is more than 25 % slower"; bad = 1 }
		if (large < .95 * unranked) { print "million.sh: ranking takes more than 5 %: lower SAMPLE"; bad = 1 }
		if (rss > 1.1 * want) { print "million.sh: more memory than the formula has"; bad = 1 }
		exit bad
	}' "$TMP/small" "$TMP/large" "$TMP/unranked"
