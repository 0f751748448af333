#!/bin/sh
# test_load_read.sh - load: CSV, TSV, zstd, JSON lines, raw bytes, forgetting, events withheld; read and query on a topic without vectors; eval prequential
# of a topic.
. "$(dirname "$0")/lib.sh"
loaded() { grep -q "^loaded $1 events .* $2 bad lines" "$TMP/err.log" || unexpected "expected $1 events and $2 bad lines"; }

: >"$TMP/in"
expect 78 load "$TMP/in"   # no topic yet
says "s4rec topics create"
expect 0 topics create

printf 'user_id,item_id,timestamp\nu1,"i,1",1700000000\nu2,i2,1700000001\r\n\nu3,i3,1700000002' >"$TMP/in"
expect 0 load -
loaded 3 0
printf 'user\titem\ttime\nu1\ti1\t1700000000\nu2\ti2\n' >"$TMP/a.tsv"
expect 65 load "$TMP/a.tsv"   # the good line is loaded, the bad one reported
loaded 1 1
says "a.tsv line 3: "

awk 'BEGIN { print "user_id,item_id,timestamp"; for (i = 0; i < 100000; i++) print "u" i % 977 ",i" i % 331 "," 1700000000 + i }' >"$TMP/b.csv"
expect 0 load "$TMP/b.csv"
loaded 100000 0
if command -v zstd >/dev/null; then
	zstd -q "$TMP/b.csv" -o "$TMP/b.csv.zst"
	expect 0 load "$TMP/b.csv.zst"
	loaded 100000 0
	head -c 20000 "$TMP/b.csv.zst" >"$TMP/cut.zst"
	expect 65 load "$TMP/cut.zst"
	says "truncated zstd"
fi

cat >"$TMP/in" <<'J'
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
printf 'who,what,when\n1,2,1700000000\n' >"$TMP/in"
expect 65 load -
says "--map.user"
expect 0 load - --map.user who --map.item what --map.time when
loaded 1 0
expect 66 load "$TMP/nowhere.csv"

# --leave-out 2: of w1 the oldest of three stays, by event time; of w2, who has one, nothing
: >"$TMP/in"
expect 64 load - --leave-out 2
says "- cannot be a pipe"
mkfifo "$TMP/pipe"
expect 64 load "$TMP/pipe" --leave-out 2
says "$TMP/pipe cannot be a pipe"
printf 'user,item,time\nw1,i3,1700000003\nw2,i1,1700000001\nw1,a,1700000001\nw1,i2,1700000002\n' >"$TMP/left.csv"
expect 0 load "$TMP/left.csv" --leave-out 2
loaded 1 0
says "withheld=3 of 2 users"
"$TOOL" dump "$PREFIX.interactions" >"$TMP/dump"
[ "$(grep -c ' w1 ' "$TMP/dump") $(grep -c ' w2 ' "$TMP/dump")" = "1 0" ] || fail "withheld events are in the topic"

# --rate 1000: 300 events take about 0.3 s
head -301 "$TMP/b.csv" >"$TMP/in"
start=$(date +%s%N)
expect 0 load - --rate 1000
[ $((($(date +%s%N) - start) / 1000000)) -ge 290 ] || fail "faster than its rate"

# Nothing was published: an empty topic is readable, and no basis for answers.
: >"$TMP/in"
expect 69 read -e
[ ! -s "$TMP/out.log" ] || fail "rows out of nowhere"
grep -q '^incomplete: no version record' "$TMP/err.log" || fail "an empty topic passes as complete"
expect 69 query item i1
says 'no worker has published'

# eval prequential: a file, and a topic of several partitions that it was loaded to, are the same stream
awk 'BEGIN { for (i = 0; i < 1200; i++) printf "{\"user_id\":\"u%d\",\"item_id\":\"i%d\",\"timestamp\":%d}\n", i * 7 % 53, (i * 11 + int(i / 53)) % 37, 1700000000 + 60 * i }' >"$TMP/clicks.jsonl"
load "${PREFIX}_p" "$TMP/clicks.jsonl"
expect 0 eval prequential "$TMP/clicks.jsonl" $(small)
cp "$TMP/out.log" "$TMP/of_file"
grep -q '^events=1200 .* bad_lines=0 refused=0 ' "$TMP/of_file" || unexpected "the file is not seen whole"
expect 0 eval prequential -t "${PREFIX}_p" $(small)
cmp "$TMP/of_file" "$TMP/out.log" >&2 || fail "the topic gives another table than the file"
expect 78 eval prequential -t "${PREFIX}_none"
says "topic ${PREFIX}_none.interactions is missing"
echo "ok $NAME"
