# lib.sh - one stream for readers in any language: $1 and the others print the same of it (tests/readers/outsider.c says what).
# reader NAME COMMAND...: a reader's command line under a name that is one word
reader() {
	name=$1; shift
	printf '#!/bin/sh\nexec %s "$@"\n' "$*" >"$TMP/reader_$name"; chmod +x "$TMP/reader_$name"; echo "$TMP/reader_$name"
}
# those of topics/readers whose tools are here after `make setup`; the others are for `make test-readers`
readers_here() { :; }
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
		[ -z "$until" ] || follow "$@" # the later ones know from the first how many versions there will be, and follow
		learn "$TMP/2.jsonl" "$format"
		[ "$version" = "${until:-$version}" ] || fail "$format ends with version $version, not $until"
		"$first" "$BROKER" "$P" "$version" user u5 10 >"$TMP/first.out" 2>"$TMP/first.log" || fail "$first: $(cat "$TMP/first.log")"
		grep '^best' "$TMP/first.out" >"$TMP/expected.best"; grep -v '^best' "$TMP/first.out" | LC_ALL=C sort >"$TMP/expected"
		[ -n "$until" ] || follow "$@"
		until=$version i=0
		for pid in $followers; do
			i=$((i + 1)); ends "$pid" 0; alike "$(eval "echo \$$i")" "f$i"
		done
	done
	! grep -q '^user/u[234] ' "$TMP/expected" || fail "who was forgotten is there"
}
# each reader in the background, until it serves the last version; when all have a view it returns
follow() {
	followers= i=0
	for r; do
		i=$((i + 1)); "$r" "$BROKER" "$P" "${until:-$version}" user u5 10 >"$TMP/f$i.out" 2>"$TMP/f$i.log" & followers="$followers $!"
	done
	while [ $i -gt 0 ]; do eventually 60 logged complete "$TMP/f$i.log"; i=$((i - 1)); done
}
