#!/bin/bash
# run.sh - runs tests that are built, prints a line for each, and at last, alone on a line: N passed, N failed.
#   tests/run.sh [STAGE ...]     default: unit e2e faults sanitizers fuzz lint
#   unit            all unit tests and golden files of BUILD; unit-topics, unit-codec, unit-model, unit-worker: one folder; ONLY="a b": test_a.c, test_b.c
#                   and the golden files alone
#   e2e             tests/e2e/test_*.sh, two at a time, with one broker for all of them (BROKER=host:port: that one); e2e-x: only test_x.sh;
#                   a build with sanitizers leaves out those that say `# not with sanitizers` in their head
#   faults          tests/faults/test_*.sh, two at a time, then those that stop the broker, `# alone` in their head; faults-x: only test_x.sh
#   sanitizers      builds in BUILD/asan and BUILD/tsan, runs unit tests there, and the end-to-end tests with the former
#   fuzz            tests/fuzz/run.sh, FUZZ_SECONDS (5) a target
#   lint            make lint
# Output of a test is in BUILD/log/NAME.log, and its end is shown when it fails. TIME_LIMIT seconds (600) for each.
# Exit 0 when at least one test ran and none failed.
set -u
cd "$(dirname "$0")/.." || exit 1
export BUILD=${BUILD:-build}
FUZZ_SECONDS=${FUZZ_SECONDS:-5}
TIME_LIMIT=${TIME_LIMIT:-600}
unset MAKEFLAGS MFLAGS MAKELEVEL # what a calling make was told stands in the environment (BUILD, CFLAGS); its job slots do not
logs=$BUILD/log
passed=0 failed=0 failures=
mkdir -p "$logs"

# one NAME COMMAND...: runs it with a time limit, counts and reports
one() {
	local name=$1 code=0 t0=$EPOCHREALTIME log ms
	shift
	log=$logs/$(echo "$name" | tr -c 'a-zA-Z0-9\n' _).log
	timeout -k 10 "$TIME_LIMIT" "$@" </dev/null >"$log" 2>&1 & running=$! # in the background: a signal need not wait for its end
	wait "$running" || code=$?
	running=
	ms=$(((${EPOCHREALTIME/./} - ${t0/./}) / 1000))
	if [ "$code" = 0 ]; then
		passed=$((passed + 1))
		printf 'ok    %-40s %4d.%d s\n' "$name" $((ms / 1000)) $((ms % 1000 / 100))
		return 0
	fi
	failed=$((failed + 1)) failures="$failures $name"
	[ "$code" != 124 ] && [ "$code" != 137 ] || echo "stopped after $TIME_LIMIT s" >>"$log"
	printf 'FAIL  %-40s %4d.%d s, exit %d; the end of %s:\n' "$name" $((ms / 1000)) $((ms % 1000 / 100)) "$code" "$log"
	tail -n 40 "$log" | sed 's/^/      | /'
	return 1
}

# beside NAME COMMAND...: the same, while another one runs: a test that talks to a broker mostly waits. collect: until one of them has ended
declare -A beside=()
beside() {
	while [ ${#beside[@]} -ge 2 ]; do collect; done
	(
		trap '[ -z "$running" ] || { kill -TERM "$running"; wait "$running"; }; exit 130' INT TERM HUP
		one "$@"
	) >"$logs/$(echo "$1" | tr -c 'a-zA-Z0-9\n' _).line" &
	beside[$!]=$1
}
collect() {
	local pid code=0
	wait -n -p pid "${!beside[@]}" || code=$?
	if [ "$code" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)) failures="$failures ${beside[$pid]}"; fi
	cat "$logs/$(echo "${beside[$pid]}" | tr -c 'a-zA-Z0-9\n' _).line"
	unset "beside[$pid]"
}

# Sanitizers want the classic layout of the address space; without the right to ask for it they mostly work all the same.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
layout=${RUN:-}
case $BUILD in *san) if setarch -R true 2>/dev/null; then layout="setarch -R"; fi ;; esac

unfound=" ${ONLY:-} " # what ONLY names and no folder has had yet
unit() { # unit FOLDER
	local source name in
	in=$(basename "$BUILD")/ # asan/model/x; plain model/x in the usual build folder
	[ "$in" != build/ ] || in=
	for source in "tests/$1"/test_*.c; do
		[ -e "$source" ] || continue
		name=$(basename "$source" .c)
		case " ${ONLY:-${name#test_}} " in *" ${name#test_} "*) ;; *) continue ;; esac
		unfound=${unfound/ ${name#test_} / }
		one "$in$1/${name#test_}" $layout "$BUILD/tests/$name"
	done
	if [ "$1" = model ] && [ -x "$BUILD/tests/golden" ]; then
		one "${in}model/golden" $layout "$BUILD/tests/golden" tests/model/golden
	fi
}

broker_dir= running=
stop_broker() { [ -z "$broker_dir" ] || tests/broker/broker.sh stop "$broker_dir"; broker_dir=; }
trap stop_broker EXIT
trap 'for pid in $running "${!beside[@]}"; do kill -TERM "$pid"; wait "$pid"; done; exit 130' INT TERM HUP # timeout hands it to the whole test

fault_name() { basename "$1" .sh | sed 's,^test_,faults/,'; }
alone() { head -n 5 "$1" | grep -q '^# alone'; }
faults() { # faults SCRIPT...: always a broker of their own, since they stop and kill it
	local script before=$failed
	broker_dir=$BUILD/faults/broker
	rm -rf "$broker_dir"
	one "broker starts" tests/broker/broker.sh start "$broker_dir" || return
	passed=$((passed - 1))
	FAULTS=$(cd "$broker_dir" && pwd)
	export FAULTS
	one "faults/reference" sh tests/faults/reference.sh || return
	passed=$((passed - 1))
	for script; do
		if [ ! -e "$script" ]; then echo "no $script" >&2; failed=$((failed + 1)); continue; fi
		alone "$script" || beside "$(fault_name "$script")" sh "$script"
	done
	while [ ${#beside[@]} -gt 0 ]; do collect; done
	for script; do ! alone "$script" || one "$(fault_name "$script")" sh "$script"; done
	stop_broker
	if [ "$failed" = "$before" ]; then rm -rf "$BUILD/faults/broker"; else echo "the broker's log: $BUILD/faults/broker/broker.log"; rm -rf "$BUILD/faults/broker/data"; fi
}

e2e() { # e2e SCRIPT...
	local script before=$failed
	if [ -z "${BROKER:-}" ]; then
		broker_dir=$BUILD/broker
		rm -rf "$broker_dir"
		one "broker starts" tests/broker/broker.sh start "$broker_dir" || return
		passed=$((passed - 1)) # no test of ours, only when it fails
		BROKER=$(cat "$broker_dir/address")
		export BROKER
	fi
	for script; do
		case $BUILD in *san) if [ $# -gt 1 ] && head -n 5 "$script" | grep -q '^# not with sanitizers'; then continue; fi ;; esac
		if [ ! -e "$script" ]; then echo "no $script" >&2; failed=$((failed + 1)); continue; fi
		beside "e2e/$(basename "$script" .sh | sed 's/^test_//')" "$(head -n 1 "$script" | grep -q bash && echo bash || echo sh)" "$script"
	done
	while [ ${#beside[@]} -gt 0 ]; do collect; done
	if [ -n "$broker_dir" ]; then
		stop_broker
		unset BROKER
		if [ "$failed" = "$before" ]; then rm -rf "$BUILD/broker"; else echo "the broker's log: $BUILD/broker/broker.log"; rm -rf "$BUILD/broker/data"; fi
	fi
}

stage() {
	case $1 in
	unit) for folder in topics codec model worker; do unit $folder; done ;;
	unit-*) unit "${1#unit-}" ;;
	e2e) e2e tests/e2e/test_*.sh ;;
	e2e-*) e2e "tests/e2e/test_${1#e2e-}.sh" ;;
	faults) faults tests/faults/test_zombie.sh $(ls tests/faults/test_*.sh | grep -v zombie) ;; # the longest first
	faults-*) faults "tests/faults/test_${1#faults-}.sh" ;;
	sanitizers)
		TIME_LIMIT=1800 beside "tsan: unit" nice make tsan # mostly one thread
		TIME_LIMIT=1800 beside "asan, ubsan: unit" make asan
		TIME_LIMIT=1800 beside "asan, ubsan: e2e" make asan-e2e # when the unit tests have ended, which are shorter
		while [ ${#beside[@]} -gt 0 ]; do collect; done
		;;
	fuzz) TIME_LIMIT=$((600 + 20 * FUZZ_SECONDS)) one "fuzz" tests/fuzz/run.sh "$FUZZ_SECONDS" ;;
	lint) one lint make lint ;;
	*) echo "run.sh: no stage $1; see its head" >&2; exit 64 ;;
	esac
}

[ $# -gt 0 ] || set -- unit e2e faults sanitizers fuzz lint
for s; do stage "$s"; done
case " $*" in
*" unit"*)
	for name in $unfound; do
		echo "no unit test $name (ONLY)" >&2
		failed=$((failed + 1))
	done
	;;
esac
[ -z "$failures" ] || echo "failed:$failures"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
