#!/bin/sh
# tests/fuzz/run.sh [seconds]: builds every fuzz target with clang into build/fuzz and runs each for so many seconds (5), two at a time.
# One line a target; leaves with 1 when one crashed. What was found new stays in build/fuzz/found/<target>, never in the tree.
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=${1:-5}
out=build/fuzz
sanitize=${FUZZ_SANITIZE:-fuzzer,address,undefined}
mkdir -p $out/gen

for p in topics/*.proto; do
	protoc --c_out=$out/gen "$p" || exit 1 # as the Makefile does: protoc-c is deprecated
done

fuzz() { # fuzz SOURCE
	name=$(basename "$1" .c)
	found=$out/found/$name
	mkdir -p "$found" "tests/fuzz/corpus/$name"

	# the model's reader, with all of model/; the others need codec/ alone
	model=
	case $name in fuzz_model_*) model="model/*.c $(pkg-config --cflags --libs openblas libzstd) -lpthread" ;; esac

	# shellcheck disable=SC2086 # words are meant
	if ! clang -std=gnu11 -O1 -g -fsanitize="$sanitize" -fno-sanitize-recover=all -D_GNU_SOURCE -I. -I$out/gen \
		-o "$out/$name" "$1" $model topics/*.c codec/*.c $out/gen/topics/*.pb-c.c \
		$(pkg-config --cflags --libs libprotobuf-c yajl) -lm >"$out/$name.log" 2>&1; then
		echo "$name: does not build, see $out/$name.log"
		return 1
	fi

	"$out/$name" -max_total_time="$seconds" -max_len=4096 -timeout=10 -artifact_prefix="$out/$name-" -print_final_stats=1 \
		"$found" "tests/fuzz/corpus/$name" >"$out/$name.log" 2>&1
	r=$?
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$out/$name.log")
	cov=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$out/$name.log" | tail -1)
	if [ $r -ne 0 ]; then
		echo "$name: FAILED ($r), see $out/$name.log; the input is $out/$name-crash-*"
		return 1
	fi
	echo "$name: ok, ${runs:-?} runs in $seconds s, coverage ${cov:-?}"
}

failed=0 beside=
for source in tests/fuzz/fuzz_*.c; do
	fuzz "$source" &
	if [ -n "$beside" ]; then wait "$beside" || failed=1; fi
	beside=$!
done
wait "$beside" || failed=1
exit $failed
