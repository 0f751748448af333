# lib.sh - one stream for readers in any language: $1 and the others print the same of it (tests/readers/outsider.c says what).
# reader NAME COMMAND...: a reader's command line under a name that is one word
reader() {
	name=$1; shift
	printf '#!/bin/sh\nexec %s "$@"\n' "$*" >"$TMP/reader_$name"; chmod +x "$TMP/reader_$name"; echo "$TMP/reader_$name"
}
# those of topics/readers whose tools are here after `make setup`; the others are for `make test-readers`
readers_here() {
	! /usr/bin/python3 -c 'import confluent_kafka' 2>/dev/null || reader python /usr/bin/python3 topics/readers/reader.py
}
# train FILE FORMAT: learns it as the next part of $P; $version is the last one
learn() {
	"$S4REC" load -t "$P" "$1" >"$TMP/load.log" 2>&1 || fail "cannot load $1"
	expect 0 train -t "$P" --until end --embedding.format "$2" $(small)
	expect 0 read -e -t "$P" --vectors 0
	version=$(sed -n 's/^version \([0-9]*\) .*/\1/p' "$TMP/err.log")
}
# alike READER NAME: its output, in NAME.out, is the expected one: rows bit by bit, the best in their order, scores to a hundred thousandth
alike() {
	grep '^best' "$TMP/$2.out" >"$TMP/$2.best" || :
	grep -v '^best' "$TMP/$2.out" | LC_ALL=C sort >"$TMP/$2.rows"
	cmp "$TMP/expected" "$TMP/$2.rows" >&2 || fail "$1, $P: $(diff "$TMP/expected" "$TMP/$2.rows" | grep -c '^[<>]') rows differ"
	paste -d ' ' "$TMP/expected.best" "$TMP/$2.best" | awk '$2 != $5 || $3 - $6 > 1e-5 || $6 - $3 > 1e-5 { print; bad = 1 } END { exit bad || NR < 5 }' >&2 || fail "$1, $P: other best items"
}
# $P is the last prefix, $TMP/expected its rows
stream_of_versions() {
	first=$1 until=
	"$S4REC" generate --events 3000 --users 200 --items 60 --interests 4 --malformed 0 --duplicates 0 --late 0 2>"$TMP/gen.log" >"$TMP/all.jsonl"
	head -2000 "$TMP/all.jsonl" >"$TMP/1.jsonl"
	{ sed -n '2001,3000p' "$TMP/all.jsonl"; printf '!forget u%d\n' 2 3 4; } >"$TMP/2.jsonl"
	for format in json float32 int8; do
		P=${PREFIX}_$format
		"$S4REC" topics create -t "$P" >"$TMP/create.log" 2>&1 || fail "topics create"
		learn "$TMP/1.jsonl" "$format"
		[ -z "$until" ] || each "$until" user u5 10 "$@" # the later ones know from the first how many versions there will be, and follow
		learn "$TMP/2.jsonl" "$format"
		[ "$version" = "${until:-$version}" ] || fail "$format ends with version $version, not $until"
		"$first" "$BROKER" "$P" "$version" user u5 10 >"$TMP/first.out" 2>"$TMP/first.log" || fail "$first: $(cat "$TMP/first.log")"
		grep '^best' "$TMP/first.out" >"$TMP/expected.best"; grep -v '^best' "$TMP/first.out" | LC_ALL=C sort >"$TMP/expected"
		[ -n "$until" ] || each "$version" user u5 10 "$@"
		until=$version i=0
		for pid in $followers; do
			i=$((i + 1)); ends "$pid" 0; alike "$(eval "echo \$$i")" "f$i"
		done
	done
	! grep -q '^user/u[234] ' "$TMP/expected" || fail "who was forgotten is there"
}
# each UNTIL KIND ID K READER...: each reader in the background on $P, until it serves that version; returns when all have a view. Output in fN.out, fN.log
each() {
	until_=$1 kind=$2 id=$3 k=$4 followers= i=0; shift 4
	for r; do
		i=$((i + 1)); "$r" "$BROKER" "$P" "$until_" "$kind" "$id" "$k" >"$TMP/f$i.out" 2>"$TMP/f$i.log" & followers="$followers $!"
	done
	all complete
}
# all TEXT: each reader has said it; all_built N: each has begun so many views
all() { for i in $(seq "$(echo "$followers" | wc -w)"); do eventually 60 logged "$1" "$TMP/f$i.log"; done; }
built() { [ "$(grep -c '^build' "$TMP/f$1.log")" -ge "$2" ]; }
all_built() { for i in $(seq "$(echo "$followers" | wc -w)"); do eventually 60 built "$i" "$1"; done; }
# all_end WHAT ROWS: each ends well, with these rows (and best items), sorted
all_end() {
	i=0
	for pid in $followers; do
		i=$((i + 1)); ends "$pid" 0
		[ "$(LC_ALL=C sort "$TMP/f$i.out" | tr '\n' ';')" = "$2" ] || { cat "$TMP/f$i.out" "$TMP/f$i.log" >&2; fail "reader $i, $1: not the rows $2"; }
	done
}
# topics written by hand: records as lines, then put PREFIX
row() { echo "$1 0 item/$2 {\"vector\":[$3],\"version\":$4,\"prototype\":-1}"; } # PARTITION ID COORDINATES VERSION
gone() { echo "$1 0 item/$2 -"; }
version() { echo "$1 0 model {\"version\":$2,\"model_id\":\"m\",\"space_id\":\"$3\",\"items\":$4,\"total_items\":$5}"; } # PARTITION VERSION SPACE ITEMS ALL-ITEMS
point() { echo "0 0 pointer $1"; }
put() { "$TOOL" feed "$1.embeddings"; }
# READER...: stopped while a delete comes and is compacted away
missed() {
	G=${PREFIX}_g P=${PREFIX}_g filled=3
	"$TOOL" create-topic "$G.embeddings" 1 cleanup.policy=compact segment.ms=500 delete.retention.ms=0 min.cleanable.dirty.ratio=0.01
	{ row 0 a 1,0 1; row 0 b 1,0 1; row 0 c 1,0 1; version 0 1 s 3 3; } | put "$G"
	each 99 item a 5 "$@"
	sleep 0.3; for pid in $followers; do kill -STOP "$pid"; done; sleep 0.3
	{ row 0 a 1,0 2; version 0 2 s 3 3; } | put "$G"; sleep 0.3 # the answer to what they had asked for before they were stopped; they ask for no more
	{ gone 0 b; version 0 3 s 2 2; } | put "$G"
	eventually 60 compacted
	{ row 0 a 0,1 99; version 0 99 s 2 2; } | put "$G"
	for pid in $followers; do kill -CONT "$pid"; done
	all_built 2
	all_end "behind a gap" 'best c 0.000000;item/a 99 -1 00000000 3f800000;item/c 1 -1 3f800000 00000000;'
}
compacted() { filled=$((filled + 1)); { row 0 a 0,1 $filled; version 0 $filled s 2 2; } | put "$G"; sleep 0.5; ! "$TOOL" dump "$G.embeddings" | grep -q item/b; }
# READER...: another space comes, partition by partition
other_space() {
	P=${PREFIX}_s
	"$TOOL" create-topic "$P.embeddings" 2 cleanup.policy=compact
	{ row 0 a 1,0 1; version 0 1 s1 1 2; row 1 b 1,0 1; version 1 1 s1 1 2; } | put "$P"
	each 2 item a 0 "$@"
	{ row 0 a 0,1,1 2; version 0 2 s2 1 2; } | put "$P"
	all_built 2
	sleep 0.2; for i in $(seq $#); do [ "$(grep -c ^complete "$TMP/f$i.log")" = 1 ] || fail "reader $i: complete with one partition of two"; done
	{ row 1 b 0,0,1 2; version 1 2 s2 1 2; } | put "$P"
	all_end "another space" 'item/a 2 -1 00000000 3f800000 3f800000;item/b 2 -1 00000000 00000000 3f800000;'
}
# READER...: the pointer leads to the topic of `missed` while they follow; from their start, and back
led() {
	H=${PREFIX}_h P=${PREFIX}_h
	"$TOOL" create-topic "$H.embeddings" 1 cleanup.policy=compact
	{ row 0 h 1,0 1; version 0 1 h 1 1; } | put "$H"
	each 99 item a 5 "$@"
	point "$G" | put "$H"
	all "build .*$G.embeddings"
	all_end "led away" 'best c 0.000000;item/a 99 -1 00000000 3f800000;item/c 1 -1 3f800000 00000000;'
	each 100 item h 5 "$@"
	point - | put "$H"
	all "build .*$H.embeddings: readers are led to $H"
	version 0 100 h 1 1 | put "$H"
	all_end "led back" 'item/h 1 -1 3f800000 00000000;'
}
