#!/bin/sh
# The sinks of topics/sinks on a real Redis and a real PostgreSQL of their own: vectors arrive, updates replace, deletes delete; also what was deleted while no sink ran.
. tests/e2e/lib.sh
. tests/readers/lib.sh
export PYTHONDONTWRITEBYTECODE=1
port() { echo $((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000)); }
redis_port=$(port) pg_port=$(port)
redis-server --bind 127.0.0.1 --port "$redis_port" --save '' --dir "$TMP" >"$TMP/redis.log" 2>&1 &
eventually 30 redis-cli -p "$redis_port" ping >"$TMP/ping"
if [ "$(id -u)" = 0 ]; then as="setpriv --reuid postgres --regid postgres --clear-groups"; chmod 711 "$TMP"; install -d -o postgres "$TMP/pg"; else as=; mkdir "$TMP/pg"; fi
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
# shellcheck disable=SC2086
$as "$bin/initdb" -D "$TMP/pg/data" -U sink -A trust -N >"$TMP/initdb.log" 2>&1 || fail "initdb: $(cat "$TMP/initdb.log")"
# shellcheck disable=SC2086
$as "$bin/postgres" -D "$TMP/pg/data" -h 127.0.0.1 -p "$pg_port" -k "$TMP/pg" -F >"$TMP/pg.log" 2>&1 & pg_server=$!
dsn="host=127.0.0.1 port=$pg_port user=sink dbname=postgres"
eventually 30 psql -qAt "$dsn" -c 'select' >"$TMP/ping" 2>&1

P=${PREFIX}_t
sinks() { # UNTIL: both, in the background
	/usr/bin/python3 topics/sinks/redis_sink.py "$BROKER" "$P" "redis://127.0.0.1:$redis_port" "$1" >"$TMP/f1.log" 2>&1 & redis=$!
	/usr/bin/python3 topics/sinks/postgres_sink.py "$BROKER" "$P" "$dsn" "$1" >"$TMP/f2.log" 2>&1 & pg=$!
	followers="$redis $pg"
}
hold() { # ROWS: key version bits, in both
	ends "$redis" 0; ends "$pg" 0
	n=$(redis-cli -p "$redis_port" get "$P:view")
	for key in $(redis-cli -p "$redis_port" --raw keys '*:item/*' | LC_ALL=C sort); do
		case $key in "$P:$n:"*) ;; *) fail "redis: a row of another view: $key" ;; esac
		printf '%s %s %s;' "${key##*:}" "$(redis-cli -p "$redis_port" --raw hget "$key" version)" "$(redis-cli -p "$redis_port" --raw hget "$key" vector | od -An -tx4 -N8 | tr -d ' ')"
	done >"$TMP/redis.rows"
	[ "$(cat "$TMP/redis.rows")" = "$1" ] || fail "redis holds $(cat "$TMP/redis.rows"), not $1"
	psql -qAt "$dsn" -F ' ' -c "select key, version, encode(float4send(vector[1]), 'hex') || encode(float4send(vector[2]), 'hex') from s4rec_vectors order by key" | tr '\n' ';' >"$TMP/pg.rows"
	[ "$(cat "$TMP/pg.rows")" = "$1" ] || fail "postgres holds $(cat "$TMP/pg.rows"), not $1"
	[ "$(psql -qAt "$dsn" -c 'select count(distinct view) from s4rec_rows')" = 1 ] || fail "postgres: rows of another view"
}
"$TOOL" create-topic "$P.embeddings" 1 cleanup.policy=compact
{ row 0 a 0.1,-3 1; row 0 b 0.1,-3 1; row 0 c 0.1,-3 1; version 0 1 s 3 3; } | put "$P"
sinks 1; hold 'item/a 1 3dcccccdc0400000;item/b 1 3dcccccdc0400000;item/c 1 3dcccccdc0400000;'
{ gone 0 b; row 0 a 1,0.5 2; version 0 2 s 2 2; } | put "$P"
sinks 3; all complete
{ row 0 d 0,2 3; gone 0 c; version 0 3 s 2 2; } | put "$P"
hold 'item/a 2 3f8000003f000000;item/d 3 0000000040000000;'
sinks 4; all complete # another space: one that is led, or rolled back
{ row 0 a 2,2 4; gone 0 d; version 0 4 s2 1 1; } | put "$P"
hold 'item/a 4 4000000040000000;'
kill -INT "$pg_server"; wait "$pg_server" || :
echo "ok sinks: Redis and PostgreSQL"
