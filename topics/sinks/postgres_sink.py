#!/usr/bin/python3
"""Vectors of s4rec in PostgreSQL, on the Python reader (Debian: python3-psycopg2, python3-confluent-kafka).

    postgres_sink.py BROKER PREFIX DSN [UNTIL]     follows for ever, or to version UNTIL

    s4rec_vectors (key text, version bigint, prototype int, vector real[])     what a service reads: the rows of the view that is complete
    s4rec_rows, s4rec_view                                                     the rows of all views, and which one is complete

A start fills a view of its own beside the one that is served, then puts it in its place, so what was deleted while no sink ran is gone, too. One sink a
database. Changes of one poll are one transaction. With pgvector make `vector` of s4rec_rows a vector(D), and an index on it."""
import os, sys
import psycopg2
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "readers"))
from reader import Reader

TABLES = """
create table if not exists s4rec_view (complete int not null);
insert into s4rec_view select 0 where not exists (select from s4rec_view);
create table if not exists s4rec_rows (view int, key text, version bigint not null, prototype int not null, vector real[] not null, primary key (view, key));
create or replace view s4rec_vectors as select key, version, prototype, vector from s4rec_rows, s4rec_view where view = complete;
"""

class Sink(Reader):
    def __init__(self, brokers, prefix, dsn):
        self.db = psycopg2.connect(dsn)
        self.out = self.db.cursor()
        self.out.execute(TABLES)
        super().__init__(brokers, prefix)

    def built(self, why):
        super().built(why)
        self.out.execute("select complete from s4rec_view")
        self.view = self.out.fetchone()[0] + 1
        self.out.execute("delete from s4rec_rows where view >= %s", [self.view])  # what an earlier start has not completed

    def row(self, key, row):
        if row:
            self.out.execute("insert into s4rec_rows values (%s, %s, %s, %s, %s) on conflict (view, key) do update "
                             "set version = excluded.version, prototype = excluded.prototype, vector = excluded.vector",
                             [self.view, key, row.version, row.prototype, list(row.vector)])
        else:
            self.out.execute("delete from s4rec_rows where view = %s and key = %s", [self.view, key])

    def complete(self):
        super().complete()
        self.out.execute("update s4rec_view set complete = %s", [self.view])
        self.out.execute("delete from s4rec_rows where view < %s", [self.view])

if __name__ == "__main__":
    sink = Sink(*sys.argv[1:4])
    while len(sys.argv) < 5 or not (sink.ready and sink.version >= int(sys.argv[4])):
        sink.poll()
        sink.db.commit()
    sink.db.commit()
