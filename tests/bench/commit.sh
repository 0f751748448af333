#!/bin/sh
# Commits of 1, 1,000 and 10,000 rows of 280 bytes, one after another. Goal: 1,000 rows at p50 <= 25 ms on loopback.
set -eu
export S4REC_BOOTSTRAP_SERVERS="$BROKER" S4REC_TOPIC_PREFIX="bench_$$"
"$BUILD/s4rec" topics create >/dev/null 2>&1
exec "$BUILD/tests/commit"
