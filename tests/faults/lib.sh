# lib.sh - what every fault test starts with: tests/e2e/lib.sh, a broker that it may stop (folder FAULTS), one input topic and the run over
# it that nobody disturbs, and the judge, which holds a disturbed run against that. `make faults` sets the environment.
: "${FAULTS:?run it by make faults, or make faults-NAME}"
BROKER=$(cat "$FAULTS/address"); export BROKER
. "$(dirname "$0")/../e2e/lib.sh"
S4REC=$BUILD/faults/s4rec
RECORDS=$BUILD/faults/records
SEED=${SEED:-1}
# draw N: a number below N in $drawn; SEED=... repeats a run
draw() { SEED=$(((SEED * 1103515245 + 12345) % 2147483648)); drawn=$((SEED / 65536 % $1)); }

# Topics that nothing is compacted away from while the test lasts: the judge looks at each record that ever was.
prefix_new() {
	"$TOOL" create-topic "$1.embeddings" 4 cleanup.policy=compact min.compaction.lag.ms=7200000
	"$TOOL" create-topic "$1.state" 1 cleanup.policy=compact min.compaction.lag.ms=7200000
	"$S4REC" topics create -t "$1" --input.topic "$INPUT" >"$TMP/create.log" 2>&1 || fail "cannot create the topics of $1: $(cat "$TMP/create.log")"
}
# worker PREFIX OPTIONS...: the command line of a worker on $INPUT
worker() { p=$1; shift; echo "train -t $p -G $p --input.topic $INPUT $(small --state.flush.ms 200 --transaction.timeout.ms 2000 --progress.ms 100 "$@")"; }

# The undisturbed run, made once for all of them (reference.sh): $REFERENCE is its prefix, $FAULTS/reference.dump its records
REFERENCE=faults_reference INPUT=faults_input.interactions
# events FILE COUNT: what they all train on
events() { "$S4REC" generate --events "$2" --users 300 --items 80 --interests 4 --malformed 0.01 --duplicates 0.002 --late 0.01 >"$1" 2>"$TMP/gen.log"; }
# undisturbed PREFIX DUMP OPTIONS...: a run from the beginning to the end of $INPUT
undisturbed() {
	p=$1 dump=$2; shift 2
	prefix_new "$p"
	# shellcheck disable=SC2046
	"$BUILD/s4rec" $(worker "$p" --until end "$@") >"$TMP/undisturbed.log" 2>&1 || fail "the undisturbed run fails: $(tail -n 3 "$TMP/undisturbed.log")"
	"$RECORDS" dump "$p" >"$TMP/new.dump"
	mv "$TMP/new.dump" "$dump"
}

# crashes POINT[:N] ARGUMENTS...: s4rec with these ends at that place, and nowhere else
crashes() {
	where=$1; shift
	CRASH_POINT=$where "$S4REC" "$@" >"$TMP/crash.log" 2>&1 & pid=$!
	ends "$pid" 137
	logged "^crash point ${where%:*}" "$TMP/crash.log" || fail "$where: it ended elsewhere"
}
# killed COUNT LEAST MS OPTIONS...: at random moments of a worker of $P, within MS of its first sign, at least LEAST times before it is through; then to its end
killed() {
	count=$1 least=$2 within=$3 kills=0; shift 3
	for k in $(seq "$count"); do
		# shellcheck disable=SC2046
		start "$TMP/kill.log" $(worker "$P" --until end --state.flush.ms 100 "$@")
		[ $((k % 3)) = 0 ] || eventually 60 logged ' train events=\|replaying' "$TMP/kill.log" # else anywhere, in the start too
		draw "$within"; sleep "0.$(printf %03d "$drawn")"
		kill -9 "$pid" 2>/dev/null || break # through already
		code=0; wait "$pid" || code=$?
		[ "$code" = 137 ] || break
		kills=$((kills + 1))
	done
	[ "$kills" -ge "$least" ] || fail "only $kills kills came in time"
	through "$P" "$@"
}

# follow PREFIX: a read_committed reader beside the worker; stop_following: nothing came twice, nothing is missing, nothing was taken back
follow() {
	FOLLOWED=$1
	"$RECORDS" follow "$1" >"$TMP/follow.dump" 2>"$TMP/follow.log" & FOLLOWER=$!
}
stop_following() {
	kill -TERM "$FOLLOWER"; ends "$FOLLOWER" 0
	"$RECORDS" dump "$FOLLOWED" >"$TMP/$FOLLOWED.dump"
	for f in follow "$FOLLOWED"; do awk '$2 != "batches" { print $2, $3, $4, $5, $6 }' "$TMP/$f.dump" | LC_ALL=C sort >"$TMP/$f.seen"; done
	cmp -s "$TMP/follow.seen" "$TMP/$FOLLOWED.seen" || fail "the reader saw other records than are there: $(diff "$TMP/follow.seen" "$TMP/$FOLLOWED.seen" | head -n 5)"
	numbered "$TMP/follow.dump"
}
# numbered DUMP: versions of a partition and cuts come one after another, each once
numbered() {
	wrong=$(awk '$2 == "embeddings" && $5 == "model" { if ($8 != v[$3] + 1) print "partition " $3 " shows version " $8 " after " v[$3] + 0; v[$3] = $8 }
		$2 == "batches" { if (cuts++ && $8 <= step) print "step " $8 " was cut after step " step; step = $8 }' "$1")
	[ -z "$wrong" ] || fail "$wrong"
}

# What two runs must have in common. sent: rows, versions and dead letters, in their order; COLUMN 6 with, 7 without what clocks wrote
sent() { awk -v c="$2" '$2 == "embeddings" || $2 == "dlq" { print $2, $3, $5, $c }' "$1" | LC_ALL=C sort -s -k1,2; }
state() { awk '$2 == "state" { last[$5] = $7 } END { for (k in last) if (last[k] != "-") print k, last[k] }' "$1" | LC_ALL=C sort; }
cuts() { awk -v c="$2" '$2 == "batches" { print $8, $c }' "$1" | LC_ALL=C sort; }
same() { cmp -s "$1" "$2" || fail "$3: $(diff "$1" "$2" | grep -c '^[<>]') differ, such as $(diff "$1" "$2" | grep '^[<>]' | head -n 4)"; }
# judge DUMP PREFIX OTHER-DUMP OTHER-PREFIX COLUMN
judge() {
	sent "$1" "$5" >"$TMP/1.sent"; sent "$3" "$5" >"$TMP/2.sent"
	same "$TMP/1.sent" "$TMP/2.sent" "$2 against $4: published rows, versions, dead letters"
	state "$1" >"$TMP/1.state"; state "$3" >"$TMP/2.state"
	same "$TMP/1.state" "$TMP/2.state" "$2 against $4: the state"
	cuts "$1" "$5" >"$TMP/1.cuts"; cuts "$3" "$5" >"$TMP/2.cuts"
	LC_ALL=C join "$TMP/1.cuts" "$TMP/2.cuts" | awk '{ n++ } $2 != $3 { print $1 } END { if (!n) print "none in common" }' >"$TMP/cuts.wrong"
	[ ! -s "$TMP/cuts.wrong" ] || fail "$2 against $4: cuts of these steps differ: $(head -n 3 "$TMP/cuts.wrong")"
	[ "$(sort -n "$TMP/1.cuts" | tail -n 1)" = "$(sort -n "$TMP/2.cuts" | tail -n 1)" ] || fail "$2 against $4: the last cut differs"
	"$RECORDS" position "$INPUT" "$2" >"$TMP/1.position"; "$RECORDS" position "$INPUT" "$4" >"$TMP/2.position"
	same "$TMP/1.position" "$TMP/2.position" "$2 against $4: committed offsets"
}
# as_if_nothing_happened PREFIX: ends the reader, and compares with the undisturbed run
as_if_nothing_happened() {
	stop_following
	judge "$TMP/$1.dump" "$1" "$FAULTS/reference.dump" "$REFERENCE" 7
}
# as_its_cuts_say PREFIX OPTIONS...: ends the reader; folds offline along the cuts that it saw, and compares even what clocks wrote
as_its_cuts_say() {
	stop_following
	again=${1}_again
	prefix_new "$again"
	p=$1; shift
	# shellcheck disable=SC2046
	"$BUILD/faults/refold" $(worker "$again" "$@" | cut -d' ' -f2-) "$TMP/follow.dump" >"$TMP/refold.log" 2>&1 || fail "refold exits $?: $(tail -n 3 "$TMP/refold.log")"
	"$RECORDS" dump "$again" >"$TMP/again.dump"
	judge "$TMP/$p.dump" "$p" "$TMP/again.dump" "$again" 6
}

# through PREFIX OPTIONS...: as a supervisor would: again as long as it says 75
through() {
	p=$1 starts=0; shift
	while :; do
		starts=$((starts + 1))
		[ "$starts" -le 20 ] || fail "$starts starts, and it is not through"
		# shellcheck disable=SC2046
		start "$TMP/through.log" $(worker "$p" --until end "$@")
		code=0; wait "$pid" || code=$?
		[ "$code" != 0 ] || return 0
		[ "$code" = 75 ] || fail "exit $code: $(tail -n 3 "$TMP/through.log")"
	done
}
