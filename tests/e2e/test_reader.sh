#!/bin/sh
# libs4rec-reader as an outsider has it: installed, found by pkg-config, linked shared and static. In step with `read` and `query`; readers in other
# languages beside it (tests/readers); a gap, a new space, a pointer.
# not with sanitizers: links a library that is not built with them
# shellcheck disable=SC2046
. "$(dirname "$0")/lib.sh"
. tests/readers/lib.sh

# 1. what is installed
make -s install PREFIX="$TMP/usr" >"$TMP/install.log" 2>&1 || { cat "$TMP/install.log" >&2; fail "make install"; }
export PKG_CONFIG_PATH="$TMP/usr/lib/pkgconfig" LD_LIBRARY_PATH="$TMP/usr/lib"
outsider="$TMP/outsider"
${CC:-cc} -Wall -Wextra -Wno-unused-parameter -Werror -O1 -o "$outsider" tests/readers/outsider.c $(pkg-config --cflags --libs s4rec-reader)
${CC:-cc} -O1 -o "$TMP/static" tests/readers/outsider.c $(pkg-config --cflags s4rec-reader) "$TMP/usr/lib/libs4rec-reader.a" $(pkg-config --libs rdkafka yajl) -lm -lpthread
nm -D --defined-only "$TMP/usr/lib/libs4rec-reader.so" | awk '{ print $3 }' >"$TMP/exported"
sed -n 's/^S4REC_API.*[ *]\(s4rec_reader_[a-z]*\)(.*/\1/p' worker/reader/s4rec-reader.h | sort | cmp - "$TMP/exported" >&2 || fail "the library exports something else than its header says"
! grep -E 'rd_kafka|include.*(pb-c|rdkafka)' worker/reader/s4rec-reader.h || fail "the header needs more than itself"

# 2. a stream with deletes, read while it grows, by all readers
stream_of_versions "$outsider" $(readers_here)
printed=$(grep -c '^' "$TMP/expected")
ROWS=json "$TMP/static" "$BROKER" "$P" 0 user u1 0 2>/dev/null | LC_ALL=C sort >"$TMP/json"
view "$P" >"$TMP/read"
cmp "$TMP/read" "$TMP/json" >&2 || fail "the library's view is not that of read -e"
for what in "item i1" "user u5" "prototype 0"; do
	expect 0 query $what -t "$P" --top 7
	"$outsider" "$BROKER" "$P" 0 $what 400 2>/dev/null | sed -n 's/^best //p' | tr ' ' '\t' >"$TMP/best"
	case $what in prototype*) ;; *) head -7 "$TMP/best" | cmp - "$TMP/out.log" >&2 || fail "query $what" ;; esac
done

# 3. what was missed: stopped while a delete comes and is compacted away
G=${PREFIX}_g
row() { "$TOOL" produce "$1.embeddings" "$2" "item/$3" "{\"vector\":[$4],\"version\":$5,\"prototype\":-1}"; }
gone() { "$TOOL" produce "$1.embeddings" "$2" "item/$3" -; }
version() { "$TOOL" produce "$1.embeddings" "$2" model "{\"version\":$3,\"model_id\":\"m\",\"space_id\":\"$4\",\"items\":$5,\"total_items\":$6}"; }
"$TOOL" create-topic "$G.embeddings" 1 cleanup.policy=compact segment.ms=500 delete.retention.ms=0 min.cleanable.dirty.ratio=0.01
for i in a b c; do row "$G" 0 $i 1,0 1; done; version "$G" 0 1 s 3 3
"$outsider" "$BROKER" "$G" 99 item a 5 >"$TMP/g.out" 2>"$TMP/g.log" & pid=$!
eventually 30 logged 'complete 1' "$TMP/g.log"
sleep 0.3; kill -STOP "$pid"; sleep 0.3
gone "$G" 0 b; version "$G" 0 2 s 2 2
filled=2
compacted() { filled=$((filled + 1)); row "$G" 0 a 0,1 $filled; version "$G" 0 $filled s 2 2; sleep 0.5; ! "$TOOL" dump "$G.embeddings" | grep -q item/b; }
eventually 60 compacted
row "$G" 0 a 0,1 99; version "$G" 0 99 s 2 2
kill -CONT "$pid"; ends "$pid" 0
grep -q 'build 2 .*: partition 0 has 3 item rows .* counts 2: records were missed' "$TMP/g.log" || { cat "$TMP/g.log" >&2; fail "a gap was not noticed"; }
[ "$(LC_ALL=C sort "$TMP/g.out" | tr '\n' ';')" = 'best c 0.000000;item/a 99 -1 00000000 3f800000;item/c 1 -1 3f800000 00000000;' ] || { cat "$TMP/g.out" >&2; fail "the view behind a gap"; }

# 4. another space: the view that is served stays as it was until the new one is complete
S=${PREFIX}_s
"$TOOL" create-topic "$S.embeddings" 2 cleanup.policy=compact
row "$S" 0 a 1,0 1; version "$S" 0 1 s1 1 2; row "$S" 1 b 1,0 1; version "$S" 1 1 s1 1 2
"$outsider" "$BROKER" "$S" 2 item a 5 >"$TMP/s.out" 2>"$TMP/s.log" & pid=$!
eventually 30 logged 'complete 1' "$TMP/s.log"
row "$S" 0 a 0,1,1 2; version "$S" 0 2 s2 1 2
eventually 30 logged 'build 2 .*: space s2 follows s1' "$TMP/s.log"
eventually 30 logged 'item/b' "$TMP/s.log"
[ "$(grep -A 3 'served meanwhile: version 1' "$TMP/s.log" | grep '^item' | LC_ALL=C sort | tr '\n' ';')" = 'item/a 1 -1 3f800000 00000000;item/b 1 -1 3f800000 00000000;' ] || { cat "$TMP/s.log" >&2; fail "the view was touched before the new one was complete"; }
sleep 0.2; ! logged 'complete 2' "$TMP/s.log" || fail "complete with one partition of two"
row "$S" 1 b 0,0,1 2; version "$S" 1 2 s2 1 2
ends "$pid" 0
[ "$(head -2 "$TMP/s.out" | LC_ALL=C sort | tr '\n' ';')" = 'item/a 2 -1 00000000 3f800000 3f800000;item/b 2 -1 00000000 00000000 3f800000;' ] || { cat "$TMP/s.out" >&2; fail "the view of the new space"; }

# 5. the pointer, while it is followed, and back; who stays, stays
H=${PREFIX}_h
"$TOOL" create-topic "$H.embeddings" 1 cleanup.policy=compact
row "$H" 0 h 1,0 1; version "$H" 0 1 h 1 1
point() { "$TOOL" produce "$H.embeddings" 0 pointer "$1"; }
"$outsider" "$BROKER" "$H" 99 item a 5 >"$TMP/p.out" 2>"$TMP/p.log" & pid=$!
STAY=1 "$outsider" "$BROKER" "$H" 100 item h 5 >"$TMP/stay.out" 2>"$TMP/stay.log" & stay=$!
eventually 30 logged 'complete 1' "$TMP/p.log"; eventually 30 logged 'complete 1' "$TMP/stay.log"
point "$G"
ends "$pid" 0
grep -q "build 2 of $G.embeddings: readers are led to $G" "$TMP/p.log" || { cat "$TMP/p.log" >&2; fail "the pointer is not followed"; }
cmp "$TMP/g.out" "$TMP/p.out" >&2 || fail "where it was led is another view"
# one that is led away from its start, and back while it is there
"$outsider" "$BROKER" "$H" 100 item h 5 >"$TMP/b.out" 2>"$TMP/b.log" & pid=$!
eventually 30 logged "build 1 of $G.embeddings" "$TMP/b.log"; eventually 30 logged 'complete 1' "$TMP/b.log"
point -
eventually 30 logged "build 2 of $H.embeddings: readers are led to $H" "$TMP/b.log"
version "$H" 0 100 h 1 1
ends "$pid" 0; ends "$stay" 0
cmp "$TMP/stay.out" "$TMP/b.out" >&2 || fail "back is another view"
! grep -q 'build 2' "$TMP/stay.log" || fail "it was to stay"

# 6. what it says of mistakes
code=0; "$outsider" "$BROKER" "${PREFIX}_none" 0 item a 5 >"$TMP/m.log" 2>&1 || code=$?
[ "$code" = 2 ] && grep -q "topic ${PREFIX}_none.embeddings is missing" "$TMP/m.log" || fail "a topic that is missing: $code, $(cat "$TMP/m.log")"
code=0; "$outsider" 127.0.0.1:1 "$H" 0 item a 5 >"$TMP/m.log" 2>&1 || code=$?
[ "$code" = 113 ] && grep -q "no broker answers at 127.0.0.1:1" "$TMP/m.log" || fail "no broker: $code, $(cat "$TMP/m.log")"
echo "ok $NAME: $printed rows alike"
