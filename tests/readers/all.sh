#!/bin/sh
# The readers of topics/readers in Java, Go and Node, and in Python, in step with the library: `make test-readers`.
# shellcheck disable=SC2046,SC2086
. tests/e2e/lib.sh
. tests/readers/lib.sh
make -s install PREFIX="$TMP/usr" >"$TMP/install.log" 2>&1 || { cat "$TMP/install.log" >&2; fail "make install"; }
${CC:-cc} -O1 -o "$TMP/outsider" tests/readers/outsider.c -I"$TMP/usr/include" -L"$TMP/usr/lib" -Wl,-rpath,"$TMP/usr/lib" -ls4rec-reader
jars=${KAFKA_DIR:-build/kafka}/lib
javac -d "$TMP/java" -cp "$jars/*" topics/readers/Reader.java
readers="$(readers_here) $(reader java java -XX:TieredStopAtLevel=1 -cp "'$TMP/java:$jars/*'" Reader) $(reader go "$BUILD/readers/go/reader") $(
	reader node env NODE_PATH="$BUILD/readers/node/node_modules" node topics/readers/node/reader.js)"
stream_of_versions "$TMP/outsider" $readers
missed "$TMP/outsider" $readers
other_space "$TMP/outsider" $readers
led "$TMP/outsider" $readers
echo "ok $(echo $readers | wc -w) readers beside the library:" $(echo $readers | sed "s,$TMP/reader_,,g")
