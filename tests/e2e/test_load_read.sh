#!/bin/sh
# test_load_read.sh - load: CSV, TSV, zstd, JSON lines, raw bytes, forgetting; read and query on a topic without vectors.
# Needs BROKER=host:port; BUILD (build). kcat, where it is installed, counts what arrived.
set -eu
: "${BROKER:?host:port of a running broker}"
S4REC=${BUILD:-build}/s4rec
PREFIX=test-load-$$-$(date +%s)
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT

fail() { echo "FAIL test_load_read: $*" >&2; cat "$DIR/out" "$DIR/err" >&2; exit 1; }
# expect CODE ARGS...: runs s4rec with $DIR/in as stdin, compares the exit code
expect() {
	want=$1; shift; got=0
	"$S4REC" "$@" -b "$BROKER" -t "$PREFIX" >"$DIR/out" 2>"$DIR/err" <"$DIR/in" || got=$?
	[ "$got" = "$want" ] || fail "s4rec $*: exit $got, expected $want"
}
loaded() { grep -q "^loaded $1 events .* $2 bad lines" "$DIR/err" || fail "expected $1 events and $2 bad lines"; }

: >"$DIR/in"
expect 78 load "$DIR/in"   # no topic yet
grep -q "s4rec topics create" "$DIR/err" || fail "no hint"
expect 0 topics create

printf 'user_id,item_id,timestamp\nu1,"i,1",1700000000\nu2,i2,1700000001\r\n\nu3,i3,1700000002' >"$DIR/in"
expect 0 load -
loaded 3 0
printf 'user\titem\ttime\nu1\ti1\t1700000000\nu2\ti2\n' >"$DIR/a.tsv"
expect 65 load "$DIR/a.tsv"   # the good line is loaded, the bad one reported
loaded 1 1
grep -q "a.tsv line 3: " "$DIR/err" || fail "the bad line is not named"

awk 'BEGIN { print "user_id,item_id,timestamp"; for (i = 0; i < 100000; i++) print "u" i % 977 ",i" i % 331 "," 1700000000 + i }' >"$DIR/b.csv"
expect 0 load "$DIR/b.csv"
loaded 100000 0
if command -v zstd >/dev/null; then
	zstd -q "$DIR/b.csv" -o "$DIR/b.csv.zst"
	expect 0 load "$DIR/b.csv.zst"
	loaded 100000 0
	head -c 20000 "$DIR/b.csv.zst" >"$DIR/cut.zst"
	expect 65 load "$DIR/cut.zst"
	grep -q "truncated zstd" "$DIR/err" || fail "a cut file goes unnoticed"
fi

cat >"$DIR/in" <<'J'
{"user_id":"u1","item_id":"i1","timestamp":"2026-01-02T03:04:05Z","event_id":"e1","type":"view"}
{"user_id":7,"item_id":8,"timestamp":1767323045000}
!raw not an event at all
!raw 
!forget u1
{"user_id":"u1","timestamp":1}
{"user_id":"u1"
J
expect 65 load -
loaded 5 2
printf 'who,what,when\n1,2,1700000000\n' >"$DIR/in"
expect 65 load -
grep -q -- "--map.user" "$DIR/err" || fail "no hint about the columns"
expect 0 load - --map.user who --map.item what --map.time when
loaded 1 0
expect 66 load "$DIR/nowhere.csv"

# --rate 1000: 300 events take about 0.3 s
head -301 "$DIR/b.csv" >"$DIR/in"
start=$(date +%s%N)
expect 0 load - --rate 1000
[ $((($(date +%s%N) - start) / 1000000)) -ge 290 ] || fail "faster than its rate"

# Nothing was published: an empty topic is readable, and no basis for answers.
: >"$DIR/in"
expect 0 read -e
[ ! -s "$DIR/out" ] || fail "rows out of nowhere"
grep -q '^incomplete: no version record' "$DIR/err" || fail "an empty topic passes as complete"
expect 69 query item i1
grep -q 'no worker has published' "$DIR/err" || fail "an empty topic answers"
echo "ok test_load_read"
