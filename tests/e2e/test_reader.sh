#!/bin/sh
# libs4rec-reader as an outsider has it: installed, found by pkg-config, linked shared and static. In step with `read` and `query`; readers in other
# languages beside it (tests/readers); a gap, a new space, a pointer.
# not with sanitizers: links a library that is not built with them
# shellcheck disable=SC2046,SC2086
. "$(dirname "$0")/lib.sh"
. tests/readers/lib.sh

# 1. what is installed
make -s install PREFIX="$TMP/usr" >"$TMP/install.log" 2>&1 || { cat "$TMP/install.log" >&2; fail "make install"; }
export PKG_CONFIG_PATH="$TMP/usr/lib/pkgconfig" LD_LIBRARY_PATH="$TMP/usr/lib"
outsider="$TMP/outsider"
${CC:-cc} -Wall -Wextra -Wno-unused-parameter -Werror -O1 -o "$outsider" tests/readers/outsider.c $(pkg-config --cflags --libs s4rec-reader)
${CC:-cc} -O1 -o "$TMP/static" tests/readers/outsider.c $(pkg-config --cflags s4rec-reader) "$TMP/usr/lib/libs4rec-reader.a" $(pkg-config --libs rdkafka yajl) -lm -lpthread
nm -D --defined-only "$TMP/usr/lib/libs4rec-reader.so" | awk '{ print $3 }' | LC_ALL=C sort >"$TMP/exported"
sed -n 's/^S4REC_API.*[ *]\(s4rec_reader_[a-z]*\)(.*/\1/p' worker/reader/s4rec-reader.h | LC_ALL=C sort | cmp - "$TMP/exported" >&2 || fail "the library exports something else than its header says"
! grep -E 'rd_kafka|include.*(pb-c|rdkafka)' worker/reader/s4rec-reader.h || fail "the header needs more than itself"

# 2. a stream with deletes, read while it grows, by all readers
readers=$(readers_here)
stream_of_versions "$outsider" $readers
printed=$(grep -c '^' "$TMP/expected")
ROWS=json "$TMP/static" "$BROKER" "$P" 0 user u1 0 2>/dev/null | LC_ALL=C sort >"$TMP/json"
view "$P" >"$TMP/read"
cmp "$TMP/read" "$TMP/json" >&2 || fail "the library's view is not that of read -e"
for what in "item i1" "user u5" "prototype 0"; do
	expect 0 query $what -t "$P" --top 7
	"$outsider" "$BROKER" "$P" 0 $what 400 2>/dev/null | sed -n 's/^best //p' | tr ' ' '\t' >"$TMP/best"
	case $what in prototype*) ;; *) head -7 "$TMP/best" | cmp - "$TMP/out.log" >&2 || fail "query $what" ;; esac
done

# 3. what does not fit is read anew, beside what is served
missed "$outsider" $readers
grep -q 'build 2 .*: partition 0 has 3 item rows .* counts 2: records were missed' "$TMP/f1.log" || { cat "$TMP/f1.log" >&2; fail "another cause"; }
other_space "$outsider" $readers
grep -q 'build 2 .*: space s2 follows s1' "$TMP/f1.log" || { cat "$TMP/f1.log" >&2; fail "another cause"; }
[ "$(grep -A 3 'served meanwhile: version 1' "$TMP/f1.log" | grep '^item' | LC_ALL=C sort | tr '\n' ';')" = 'item/a 1 -1 3f800000 00000000;item/b 1 -1 3f800000 00000000;' ] || { cat "$TMP/f1.log" >&2; fail "the view was touched before the new one was complete"; }

# 4. the pointer; who stays, stays
led "$outsider" $readers
{ row 0 h 1,0 101; version 0 101 h 1 1; point "$G"; } | put "$H"
STAY=1 "$outsider" "$BROKER" "$H" 101 item h 5 >"$TMP/stay.out" 2>"$TMP/stay.log" || fail "stay: $(cat "$TMP/stay.log")"
[ "$(cat "$TMP/stay.out")" = 'item/h 101 -1 3f800000 00000000' ] || fail "it was to stay"

# `read` says where what it printed before goes
start "$TMP/r.log" read -t "$H"
eventually 30 logged '"key":"item/c"' "$TMP/r.log"
point - | put "$H"
eventually 30 logged '^{"key":"complete"}' "$TMP/r.log"
kill -TERM "$pid"; ends "$pid" 0
[ "$(sed -n '/"key":"rebuild"/,/"key":"complete"/s/^{"key":"\([^"]*\)".*/\1/p' "$TMP/r.log" | LC_ALL=C sort -u | tr '\n' ' ')" = 'complete item/h model rebuild ' ] || { cat "$TMP/r.log" >&2; fail "read does not say what is replaced"; }

# 5. what it says of mistakes
code=0; "$outsider" "$BROKER" "${PREFIX}_none" 0 item a 5 >"$TMP/m.log" 2>&1 || code=$?
[ "$code" = 2 ] && grep -q "topic ${PREFIX}_none.embeddings is missing" "$TMP/m.log" || fail "a topic that is missing: $code, $(cat "$TMP/m.log")"
code=0; TIMEOUT_MS=500 "$outsider" 127.0.0.1:1 "$H" 0 item a 5 >"$TMP/m.log" 2>&1 || code=$?
[ "$code" = 113 ] && grep -q "no broker answers at 127.0.0.1:1" "$TMP/m.log" || fail "no broker: $code, $(cat "$TMP/m.log")"
echo "ok $NAME: $printed rows alike, $(echo "$readers" | wc -w) reader beside the library"
