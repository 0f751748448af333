#!/usr/bin/python3
"""Vectors of s4rec in Redis, on the Python reader (Debian: python3-redis, python3-confluent-kafka).

    redis_sink.py BROKER PREFIX REDIS-URL [UNTIL]     follows for ever, or to version UNTIL

    <prefix>:view            the number n of the view that is complete; a service reads it first, and again when a key is missing
    <prefix>:<n>:item/i1     hash: vector (float32, little endian), version, prototype; the same for user/..., prototype/...

A start fills a view of its own beside the one that is served, then puts it in its place, so what was deleted while no sink ran is gone, too. One sink a prefix."""
import os, struct, sys
import redis
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "readers"))
from reader import Reader

class Sink(Reader):
    def __init__(self, brokers, prefix, url):
        self.db, self.name, self.view = redis.Redis.from_url(url), prefix, 0
        self.out = self.db.pipeline(transaction=False)
        super().__init__(brokers, prefix)

    def built(self, why):
        super().built(why)
        self.flush()
        self.view = int(self.db.get(self.name + ":view") or 0) + 1
        self.remove_others(int(self.db.get(self.name + ":view") or 0))  # what an earlier start has not completed

    def row(self, key, row):
        at = "%s:%d:%s" % (self.name, self.view, key)
        if row:
            self.out.hset(at, mapping={"vector": struct.pack("<%df" % len(row.vector), *row.vector), "version": row.version, "prototype": row.prototype})
        else:
            self.out.delete(at)
        if len(self.out) >= 1000:
            self.flush()

    def complete(self):
        super().complete()
        self.flush()
        self.db.set(self.name + ":view", self.view)
        self.remove_others(self.view)

    def flush(self):
        self.out.execute()

    def remove_others(self, keep):
        for key in self.db.scan_iter(self.name + ":[0-9]*", count=1000):
            if int(key[len(self.name.encode()) + 1:].split(b":")[0]) != keep:
                self.db.unlink(key)

if __name__ == "__main__":
    sink = Sink(*sys.argv[1:4])
    while len(sys.argv) < 5 or not (sink.ready and sink.version >= int(sys.argv[4])):
        sink.poll()
        sink.flush()
