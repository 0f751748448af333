#!/bin/sh
# Topics and files of others: from each sample the model learns what its list of events in our own words teaches, bit for bit; what is no event costs one dead letter
# that says what was expected, or nothing where its type is to be ignored.
. "$(dirname "$0")/lib.sh"
samples=tests/e2e/samples
fold() { small "$@" --eval.out "$TMP/out.tsv"; }
# learn PREFIX OPTIONS...: trains to the end; $TMP/out.tsv has what was scored, with event ids
learn() { prefix=$1; shift; rm -f "$TMP/out.tsv"; expect 0 train -t "$prefix" --until end $(fold) "$@"; }
topic() { "$S4REC" topics create -t "$1" --partitions 1 >"$TMP/create.log" 2>&1 || fail "cannot create $1"; }
# taught SAMPLE: the list of its events, trained once
taught() {
	W=${PREFIX}_w_$1; topic "$W"
	"$S4REC" load -t "$W" --map.user user --map.item item --map.time time "$samples/$1.events" >"$TMP/load.log" 2>&1 || fail "cannot load $1.events"
	learn "$W"; mv "$TMP/out.tsv" "$TMP/$1.tsv"
	view "$W" >"$TMP/$1.view"
	[ -s "$TMP/$1.view" ] || fail "$1.events teach nothing"
}
# same SAMPLE PREFIX: and this topic taught the same
same() {
	same_view "$TMP/$1.view" "$2" "$1"
	cmp "$TMP/$1.tsv" "$TMP/out.tsv" || fail "$1: other events were scored"
}
# feed SAMPLE FILE OPTIONS...: records as they are, through a topic that somebody else fills
feed() {
	sample=$1 file=$2 T=${PREFIX}_t_$1; shift 2
	topic "$T"
	"$TOOL" feed "$T.interactions" <"$file"
	learn "$T" "$@"; same "$sample" "$T"
}
lines() { sed 's/^/0 0 - /' "$1" >"$TMP/lines"; echo "$TMP/lines"; }
# loaded SAMPLE FILE CODE OPTIONS...: through `load`
loaded() {
	sample=$1 file=$2 code=$3 L=${PREFIX}_l_$1; shift 3
	topic "$L"
	expect "$code" load -t "$L" "$file" "$@"
	learn "$L" "$@"; same "$sample" "$L"
}

for s in segment personalize personalize.requests movielens gorse gorse.export cloudevents confluent; do taught $s; done

feed segment "$(lines $samples/segment.jsonl)" --preset segment
says ' duplicates=3 '; says ' ignored=4'
dead_letters "$T" 1
grep -q 's4rec.reason=no item' "$TMP/dlq" || fail "an order with a product that has no id"
loaded segment $samples/segment.jsonl 65 --preset segment
says ' duplicates=3 '

loaded personalize $samples/personalize.csv 0 --preset personalize
feed personalize.requests "$(lines $samples/personalize.requests.jsonl)" --preset personalize
says ' duplicates=1 '
loaded movielens $samples/movielens.csv 0 --preset movielens
feed gorse "$(lines $samples/gorse.jsonl)" --preset gorse
loaded gorse.export $samples/gorse.export.csv 0 --preset gorse

# by preset and by itself: the same
weights=com.example.item.bought:3,com.example.item.returned:ignore
feed cloudevents $samples/cloudevents.feed --preset cloudevents --type.weights $weights
says ' duplicates=1 '; says ' ignored=1'
dead_letters "$T" 2
[ "$(grep -c 's4rec.reason=undecodable: expected' "$TMP/dlq")" = 2 ] || { cat "$TMP/dlq" >&2; fail "dead letters do not say what was expected"; }
O=${PREFIX}_auto; "$S4REC" topics create -t "$O" --input.topic "$T.interactions" >"$TMP/create.log" 2>&1
learn "$O" --input.topic "$T.interactions" --type.weights $weights; same cloudevents "$O"

feed confluent $samples/confluent.feed --format confluent
dead_letters "$T" 2
[ "$(grep -c 's4rec.reason=undecodable: expected' "$TMP/dlq")" = 2 ] || { cat "$TMP/dlq" >&2; fail "dead letters do not say what was expected"; }

# orders of two and refunds among them, more than a batch holds: killed amid them it ends with the same rows and scores; the audit agrees
K=${PREFIX}_k; topic "$K"
awk 'BEGIN { for (i = 0; i < 3000; i++) {
		if (i % 3 == 0) printf "0 0 u%d {\"type\":\"refund\"}\n", i % 90
		printf "0 0 u%d {\"type\":\"order\",\"id\":\"o%d\",\"time\":%d,\"lines\":[{\"sku\":\"i%d\"},{\"sku\":\"i%d\",\"n\":2}]}\n", i % 90, i, 1700000000 + i, i * 7 % 41, i * 5 % 43
	} }' | "$TOOL" feed "$K.interactions"
export S4REC_MAP_ITEM='lines[].sku' S4REC_MAP_WEIGHT='lines[].n' S4REC_MAP_EVENT_ID=id S4REC_TYPE_WEIGHTS=order:2,refund:ignore
learn "$K" --batch.events 30
says ' events=6000 '; says ' duplicates=0 '; says ' ignored=1000'
view "$K" >"$TMP/k.view"; mv "$TMP/out.tsv" "$TMP/k.tsv"
R=${PREFIX}_r; "$S4REC" topics create -t "$R" --input.topic "$K.interactions" >"$TMP/create.log" 2>&1
start "$TMP/killed.log" train -t "$R" --input.topic "$K.interactions" --until end --progress.ms 100 $(fold) --batch.events 30
eventually 60 logged ' train events=' "$TMP/killed.log"
kill -KILL "$pid"; ends "$pid" 137
expect 0 train -t "$R" --input.topic "$K.interactions" --until end $(fold) --batch.events 30
same_view "$TMP/k.view" "$R" "killed amid orders"
cmp "$TMP/k.tsv" "$TMP/out.tsv" || fail "killed amid orders: other events were scored"
expect 0 verify -t "$R" --input.topic "$K.interactions" $(small --batch.events 30 | sed 's/--commit.steps [0-9]* //')
prints "equal: $R"
unset S4REC_MAP_ITEM S4REC_MAP_WEIGHT S4REC_MAP_EVENT_ID S4REC_TYPE_WEIGHTS

# a start that comes again folds the same; other weights are another model
expect 0 train -t "$O" --input.topic "${PREFIX}_t_cloudevents.interactions" --type.weights $weights --until end $(fold)
expect 78 train -t "$O" --input.topic "${PREFIX}_t_cloudevents.interactions" --until end $(fold)
says 'type.weights'
expect 64 load -t "$O" --preset cloudevents $samples/segment.jsonl
expect 78 train -t "$O" --input.topic "${PREFIX}_t_cloudevents.interactions" --map.user 'a[].b' --until end
says 'one user'
echo "ok $NAME"
