#!/bin/bash
# mutations.sh - `make mutations`: breaks the rules that exactly once stands on, one at a time, in a scratch worktree of HEAD, and expects the named
# test to fail. A rule whose breaking no test notices is not kept by anybody. Minutes; RULES=regular expression takes some.
set -u
cd "$(dirname "$0")/../.." || exit 1
root=$PWD
scratch=$(mktemp -d)/tree
git worktree add -q --detach "$scratch" HEAD || exit 1
trap 'cd "$root"; git worktree remove --force "$scratch"; rmdir "$(dirname "$scratch")"' EXIT
trap 'exit 130' INT TERM HUP
cd "$scratch" || exit 1
export KAFKA_DIR="${KAFKA_DIR:-$root/build/kafka}"
unset MAKEFLAGS MFLAGS MAKELEVEL BROKER
survivors=0 killed=0
make -j"$(nproc)" fault-tools >make.log 2>&1 || { tail make.log; exit 1; }

# breaks NAME TEST FILE PERL [FILE PERL]: PERL changes FILE; `make TEST` must fail
breaks() {
	[[ $1 =~ ${RULES:-.} ]] || return 0
	perl -0pi -e "$4" "$3"
	[ $# -lt 6 ] || perl -0pi -e "$6" "$5"
	if git diff --quiet; then echo "STALE     $1: $3 is no longer as expected"; survivors=$((survivors + 1)); return; fi
	if ! make -j"$(nproc)" fault-tools >make.log 2>&1; then echo "STALE     $1: does not compile"; survivors=$((survivors + 1)); git checkout -q .; return; fi
	rm -f build/log/faults_*.log
	# shellcheck disable=SC2086
	if make $2 >test.log 2>&1; then echo "SURVIVED  $1: $2 passes"; survivors=$((survivors + 1)); else
		killed=$((killed + 1))
		echo "killed    $1: $2: $(grep -ahE '^(test_[a-z_]*|FAILED|stopped)' build/log/faults_*.log | head -n 1 | cut -c1-200)"
	fi
	git checkout -q .
}

# One transaction becomes two: the cuts with the offsets, then the rest.
two_transactions='s/v = txn_produce\(t, s\);/txn_part = 1, v = txn_produce(t, s);/; s/v = txn_commit\(t\);/v = txn_commit(t);\n\tcrash_point("commit.between");\n\tint64_t cut = txn_last_cut(t);\n\ttxn_begin(t);\n\ttxn_part = 2, txn_produce(t, s);\n\tv = txn_commit(t), txn_set_cut(t, cut);/; s/(static enum verdict transaction)/extern int txn_part;\nvoid txn_set_cut(struct txn *t, int64_t cut);\n$1/'
take_part='s/(static enum verdict produce_one)/extern int txn_part;\nint txn_part;\nvoid txn_set_cut(struct txn *t, int64_t cut);\nvoid txn_set_cut(struct txn *t, int64_t cut)\n{\n\tt->cuts.last_offset = cut;\n}\n\n$1/; s/\t\tv = produce_one/\t\tif (t->what[0] == 99 && (s->records[i].topic == TOPIC_BATCHES) != (txn_part == 1))\n\t\t\tcontinue;\n\t\tv = produce_one/'
breaks "cuts and offsets are committed before the rows" "faults-points ONLY=commit.b" worker/kafka/committer.c "$two_transactions" worker/kafka/txn.c "$take_part"
breaks "a fresh transactional.id at every start" faults-zombie worker/kafka/client.c \
	's/"%s\.%s", c->topic_prefix, state \? "trainer-state" : "trainer"\)/"%s.%s.%d", c->topic_prefix, state ? "trainer-state" : "trainer", (int)getpid())/'
breaks "a manifest before its commit" faults-order worker/learn/loop.c \
	's/return committer_done\(w->committer\) < w->flush_commit \? -1 : /return committer_done(w->committer) < w->flush_commit ? 0 : /'
breaks "the end of a topic by a read_committed handle" faults-foreign worker/kafka/reader.c \
	's/end == END_ALL \? CLIENT_CONSUMER_UNCOMMITTED : CLIENT_CONSUMER/CLIENT_CONSUMER/'
breaks "a flush without its manifest" faults-points worker/state/state.c \
	's/r = put\(s, "manifest", 8, s->value, len\)/r = s->m.flush % 4 ? put(s, "manifest", 8, s->value, len) : 0/'
breaks "a clock in the fold" faults-kills worker/learn/publish.c \
	's/sweep_users\(l, l->step - l->published_step\)/sweep_users(l, l->step - l->published_step + (uint64_t)(clock() % 2))/; s/#include <string.h>/#include <string.h>\n#include <time.h>/'
breaks "a flush that lost a slice is ended all the same" faults-alloc worker/state/state.c \
	's/\tif \(r < 0\) \{\n\t\tstaged_free\(next\);\n\t\treturn r;\n\t\}/\tif (r < 0)\n\t\tstaged_free(s->slice);/'
breaks "a worker whose time is over aborts, and so fences its successor" faults-zombie worker/kafka/txn.c \
	's/if \(monotonic_us\(\) - t->begun_us > \(int64_t\)t->timeout_ms \* 1000\)\n\t\treturn stop/if (0)\n\t\treturn stop/'
echo "$killed killed, $survivors survived"
[ "$survivors" = 0 ]
