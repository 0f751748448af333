#!/bin/bash
# What a worker shows over HTTP: metrics that add up to the topics, from the first connection to the last flush; who is not ready says why; a second worker
# stands by; a taken port is one clear error. promtool looks at the metrics where it is installed (Debian package prometheus).
. "$(dirname "$0")/lib.sh"

# get PORT PATH: the status line to $TMP/status, the body to $TMP/body
get() {
	exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
	printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&3
	tr -d '\r' <&3 >"$TMP/answer"
	exec 3>&-
	sed -n 1p "$TMP/answer" >"$TMP/status"
	sed '1,/^$/d' "$TMP/answer" >"$TMP/body"
}
code() { cut -d' ' -f2 "$TMP/status"; }
port_of() { sed -n 's/.*http listens at 127.0.0.1:\([0-9]*\):.*/\1/p' "$1"; }
listens() { [ -n "$(port_of "$1")" ]; }
# value METRIC: of the last page, without its labels' braces quoted
value() { awk -v name="$1" '{ if (substr($0, 1, length(name) + 1) == name " ") print $NF }' "$TMP/body"; }
# is PORT METRIC VALUE
is() { get "$1" /metrics && [ "$(value "$2")" = "$3" ]; }
ready() { get "$1" /readyz && [ "$(code)" = 200 ]; }
# answered PORT PATH TEXT
answered() { get "$1" "$2" && grep -qF -- "$3" "$TMP/body"; }

stream "$TMP/events.jsonl" 3000
load "$PREFIX" "$TMP/events.jsonl"
options="--http.listen 127.0.0.1:0 --linger.ms 20 --commit.ms 50 --state.flush.ms 200 --progress.ms 100 --election.timeout.ms 6000"

# 1. a run with an end is alive and not ready, and says how far it is
load "${PREFIX}_end" "$TMP/events.jsonl"
start "$TMP/end.log" train -t "${PREFIX}_end" --until end --http.listen 127.0.0.1:0 $(small) --batch.users 2; bounded=$pid
eventually 10 listens "$TMP/end.log"; E=$(port_of "$TMP/end.log")
eventually 30 answered "$E" /readyz "catches up: "
[ "$(code)" = 503 ] || fail "ready while it catches up: $(cat "$TMP/status")"
get "$E" /livez; [ "$(code)" = 200 ] || fail "not alive while it catches up"
kill -TERM "$bounded"; ends "$bounded" 0

# 2. live: what it counts is what the topics hold
start "$TMP/a.log" train $options $(small); first=$pid
eventually 10 listens "$TMP/a.log"; A=$(port_of "$TMP/a.log")
get "$A" /livez; [ "$(code)" = 200 ] || fail "not alive at its start: $(cat "$TMP/status")"
eventually 30 ready "$A"
eventually 30 is "$A" s4rec_events_total "$good"
lag() { get "$A" /metrics; grep '^s4rec_input_lag_records{' "$TMP/body" | awk '{ n += $NF } END { exit !(NR == 4 && n == 0) }'; }
eventually 30 lag
settled() { get "$A" /metrics; [ "$(value s4rec_commits_total)" -gt 2 ] && [ "$(value s4rec_flushes_total)" -gt 0 ]; }
eventually 30 settled
[ "$(grep '^s4rec_dead_letters_total{' "$TMP/body" | awk '{ n += $NF } END { print n }')" = "$bad" ] || fail "dead letters: $(grep dead_letters "$TMP/body"), not $bad"

[ "$(value s4rec_leader) $(value s4rec_ready) $(value 's4rec_phase{phase="live"}')" = "1 1 1" ] || fail "it does not say that it leads: $(grep -E '^s4rec_(leader|ready|phase)' "$TMP/body")"
for stage in poll rank step publish commit; do
	[ "$(value "s4rec_stage_duration_seconds_count{stage=\"$stage\"}")" -gt 0 ] || fail "no time was measured in $stage"
done
[ "$(value 's4rec_stage_duration_seconds_count{stage="step"}')" = "$(value s4rec_steps_total)" ] || fail "steps are not those that were timed"
if command -v promtool >/dev/null 2>&1; then
	promtool check metrics <"$TMP/body" >"$TMP/promtool.log" 2>&1 || fail "promtool: $(cat "$TMP/promtool.log")"
	[ ! -s "$TMP/promtool.log" ] || fail "promtool: $(cat "$TMP/promtool.log")"
	# the alerts, whether they fire when they should, and what the dashboard asks, as if it were rules
	promtool check rules worker/watch/alerts.yml >"$TMP/promtool.log" 2>&1 || fail "promtool: $(cat "$TMP/promtool.log")"
	promtool test rules tests/e2e/alerts.yml >"$TMP/promtool.log" 2>&1 || fail "promtool: $(cat "$TMP/promtool.log")"
	{
		printf 'groups:\n- name: dashboard\n  rules:\n'
		sed -n 's/\$__rate_interval/5m/g; s/^[[:space:]]*"expr": \(".*"\),*$/\1/p' worker/watch/dashboard.json | awk '{ print "  - { record: d:" NR ", expr: " $0 " }" }'
	} >"$TMP/dashboard.yml"
	[ "$(wc -l <"$TMP/dashboard.yml")" -gt 30 ] || fail "the dashboard asks nothing"
	promtool check rules "$TMP/dashboard.yml" >"$TMP/promtool.log" 2>&1 || fail "promtool: $(cat "$TMP/promtool.log")"
fi
get "$A" /status
for part in '"phase": "live"' '"leads": true' '"ready": true' "\"prefix\": \"$PREFIX\"" "\"events\": $good" '"space_id": "default-1"' '"held": false'; do
	grep -qF -- "$part" "$TMP/body" || fail "/status lacks $part: $(cat "$TMP/body")"
done
# the version that it names is the one that readers have
get "$A" /metrics; version=$(value s4rec_version)
"$S4REC" read -e --vectors 0 2>"$TMP/read.log" | sed -n 's/^{"key":"model",.*"version":\([0-9]*\),.*/\1/p' | sort -n | tail -n 1 >"$TMP/version"
[ "$version" -le "$(cat "$TMP/version")" ] || fail "shows version $version, readers have $(cat "$TMP/version")"

# 3. a second worker is alive and not ready, and says why; a port that is taken is an error with a name
start "$TMP/b.log" train $options --log.format json $(small); second=$pid
eventually 10 listens "$TMP/b.log"; B=$(port_of "$TMP/b.log")
eventually 30 answered "$B" /readyz "stands by: another worker leads"
[ "$(code)" = 503 ] || fail "a standby is ready: $(cat "$TMP/status")"
get "$B" /livez; [ "$(code)" = 200 ] || fail "a standby is not alive"
is "$B" s4rec_leader 0 || fail "a standby leads"
expect 78 train $(small) --http.listen "127.0.0.1:$A"
says "http.listen=127.0.0.1:$A: Address already in use: another process has this port"
expect 78 train $(small) --http.listen 127.0.0.1
says "is no host:port"

# 4. the leader is killed: the other one restores, is ready, and its counters begin at 0
kill -KILL "$first"; ends "$first" 137
eventually 30 ready "$B"
is "$B" s4rec_events_total 0 || fail "a replay was counted: $(value s4rec_events_total)"
answered "$B" /status "\"events\": $good" || fail "the model has forgotten its events"
is "$B" s4rec_leader 1 || fail "it does not say that it leads"
[ "$(value s4rec_restored_records)" -gt 100 ] || fail "restored: $(value s4rec_restored_records)"

# 5. its log is JSON, line by line, with fields where a line has them
! grep -vq '^{"ts":"20[0-9T:.-]*Z","level":"\(info\|warn\|error\)","msg":".*}$' "$TMP/b.log" || fail "no JSON: $(grep -v '^{"ts":' "$TMP/b.log")"
eventually 10 logged '"msg":"train","events":[0-9]*,' "$TMP/b.log"

# 6. bytes that are no request harm nobody
for i in 1 2 3 4 5 6 7 8 9 10; do
	{ head -c 3000 /dev/urandom >"/dev/tcp/127.0.0.1/$B"; } 2>/dev/null || :
done
kill -TERM "$second"; ends "$second" 0
if get "$B" /livez 2>/dev/null; then fail "the port outlives its worker"; fi
