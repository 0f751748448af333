#!/usr/bin/python3
"""Vectors of s4rec in a Python service: the reader's contract of topics/README.md on confluent-kafka (Debian: python3-confluent-kafka).

    reader.py BROKER PREFIX UNTIL KIND ID K     reads to a complete view of version UNTIL or later; prints its rows and the K best items for KIND/ID

A Reader serves `rows`, {key: Row}, once it is `ready`; override built, row and complete to feed an index instead. Search is a plain loop here."""
import json, math, struct, sys
from collections import namedtuple
from confluent_kafka import Consumer, KafkaError, KafkaException, OFFSET_BEGINNING, TopicPartition

Row = namedtuple("Row", "version prototype vector partition")
KINDS = ["item", "user", "prototype"]

def varint(body, at):
    value = shift = 0
    while body[at] > 127:
        value, shift, at = value | (body[at] & 127) << shift, shift + 7, at + 1
    return value | body[at] << shift, at + 1

def fields(body):
    """The fields of a protobuf message by their numbers: int, or bytes."""
    at, found = 0, {}
    while at < len(body):
        tag, at = varint(body, at)
        if tag & 7 == 0:
            found[tag >> 3], at = varint(body, at)
        else:
            size, at = varint(body, at) if tag & 7 == 2 else ({1: 8, 5: 4}[tag & 7], at)
            found[tag >> 3], at = body[at:at + size], at + size
    return found

def float32s(values):
    return struct.unpack("<%df" % len(values), struct.pack("<%df" % len(values), *values))

def decode_row(body, partition):
    if body[:1] == b"{":
        m = json.loads(body)
        return Row(m["version"], m["prototype"], float32s(m["vector"]), partition)
    m = fields(body)  # Embedding: 1 vector, 2 int8, 3 scale, 4 version, 7 prototype
    if 2 in m:
        vector = float32s([q * struct.unpack("<f", m[3])[0] for q in struct.unpack("%db" % len(m[2]), m[2])])
    else:
        vector = struct.unpack("<%df" % (len(m[1]) // 4), m[1])
    return Row(m.get(4, 0), struct.unpack("<i", struct.pack("<I", m.get(7, 0) & 0xffffffff))[0], vector, partition)

def decode_version(body):
    """version, space, row counts by kind"""
    if body[:1] == b"{":
        m = json.loads(body)
        return m["version"], m["space_id"], [m.get(k, 0) for k in ("items", "users", "prototypes")]
    m = fields(body)  # Version: 1 version, 4 space_id, 9 items, 10 users, 11 prototypes
    return m.get(1, 0), m.get(4, b"").decode(), [m.get(n, 0) for n in (9, 10, 11)]

class Reader:
    def __init__(self, brokers, prefix="s4rec", stay=False, **settings):
        self.settings = {"bootstrap.servers": brokers, "group.id": "s4rec-reader", "enable.auto.commit": False, "auto.offset.reset": "error",
                         "enable.partition.eof": True, "isolation.level": "read_committed", **settings}
        self.home = self.wanted = prefix  # wanted: the prefix that the newest pointer names
        self.rows, self.live, self.ready, self.version, self.watch, self.stay = {}, {}, False, 0, None, stay
        self._build("first view")

    # for an index of your own: one is begun; a row of it has come (Row) or gone (None); it is complete, and takes the place of the one before
    def built(self, why): print("build of %s: %s" % (self.topic, why), file=sys.stderr, flush=True)
    def row(self, key, row): pass
    def complete(self): print("complete", file=sys.stderr, flush=True)

    def _build(self, why):
        """A view from offset 0, beside the one that is served."""
        self.topic, self.why, self.building = self.wanted + ".embeddings", None, True
        eye = Consumer({**self.settings, "isolation.level": "read_uncommitted"})  # sees the end behind transactions that are open
        self.parts = list(eye.list_topics(timeout=10).topics[self.topic].partitions)
        ends = {p: eye.get_watermark_offsets(TopicPartition(self.topic, p), timeout=10) for p in self.parts}
        eye.close()
        self.end = {p: high for p, (low, high) in ends.items() if high > low}  # of those that are not read so far
        self.next, self.next_live, self.seen, self.pending = {}, {p: [0, 0, 0] for p in self.parts}, {}, {p: [] for p in self.parts}
        self.data = Consumer(self.settings)
        self.data.assign([TopicPartition(self.topic, p, OFFSET_BEGINNING) for p in self.parts])
        if self.wanted == self.home:
            self.watch = None
        elif not self.watch:  # a newer pointer comes into the partition where this one was
            self.watch = Consumer(self.settings)
            self.watch.assign([TopicPartition(self.home + ".embeddings", *self.pointer_at)])
        self.built(why)

    def poll(self, timeout=1.0):
        """Takes what has come, after waiting for it for so many seconds at most."""
        for consumer in [self.data] + ([self.watch] if self.watch else []):
            m = consumer.poll(timeout if consumer is self.data else 0)
            while m is not None:
                if self._is_record(m) and not self.why:
                    self._take(m)
                m = consumer.poll(0) if not self.why else None
        if self.wanted + ".embeddings" != self.topic and not self.end:
            self.why = "readers are led to " + self.wanted
        if self.why:
            self._build(self.why)

    def _is_record(self, m):
        if m.error() is None:
            return True
        if m.error().code() == KafkaError._PARTITION_EOF:
            self._reached(m, m.offset())
        elif m.error().code() == KafkaError._AUTO_OFFSET_RESET:
            self.why = "what comes next is gone"
        elif not m.error().retriable() and m.error().code() not in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT):
            raise KafkaException(m.error())

    def _reached(self, m, offset):
        if m.topic() == self.topic and offset >= self.end.get(m.partition(), math.inf):
            del self.end[m.partition()]
        self._complete_if()

    def _take(self, m):
        key, p = (m.key() or b"").decode(), m.partition()
        if key == "pointer" and m.topic() == self.home + ".embeddings" and not self.stay:
            self.wanted, self.pointer_at = (m.value() or self.home.encode()).decode(), (p, m.offset() + 1)
        elif m.topic() == self.topic and key == "model" and m.value():
            self._take_version(p, *decode_version(m.value()))
        elif m.topic() == self.topic and key.split("/")[0] in KINDS:
            self.pending[p].append((key, m.value()))
            if self.building:
                self._take_rows(p, self.next, self.next_live)
        self._reached(m, m.offset() + 1)

    def _take_rows(self, p, rows, live):
        for key, value in self.pending[p]:
            kind, old, row = KINDS.index(key.split("/")[0]), rows.pop(key, None), None if value is None else decode_row(value, p)
            if old:
                live[old.partition][kind] -= 1
            if row:
                rows[key], live[p][kind] = row, live[p][kind] + 1
            self.row(key, row)
        self.pending[p] = []

    def _take_version(self, p, version, space, counts):
        if not self.building:  # rows wait for this record: only here is it known of which space they are
            if space != self.seen[p][1] or version < self.seen[p][0]:
                self.why = "space %s follows %s" % (space, self.seen[p][1])
                return
            self._take_rows(p, self.rows, self.live)
        found = (self.next_live if self.building else self.live)[p]
        self.seen[p] = version, space, found == counts
        if not self.building:
            self.version = min(s[0] for s in self.seen.values())
            if found != counts:  # away for longer than deletes are kept
                self.why = "partition %d has %s rows, version %d counts %s" % (p, found, version, counts)

    def _complete_if(self):
        seen = self.seen.values()
        led_away = self.wanted + ".embeddings" != self.topic
        if self.building and not led_away and not self.end and len(seen) == len(self.parts) and all(s[2] for s in seen) and len({s[1] for s in seen}) == 1:
            self.rows, self.live, self.version, self.ready, self.building = self.next, self.next_live, min(s[0] for s in seen), True, False
            self.complete()

    def best(self, key, k):
        """[(item, score)]: for a user by dot product, for others by cosine."""
        length = lambda x: math.sqrt(sum(a * a for a in x)) or math.inf
        q, norm = self.rows[key].vector, (lambda x: 1) if key.startswith("user/") else lambda x: length(x) * length(self.rows[key].vector)
        found = [(i[5:], sum(a * b for a, b in zip(q, r.vector)) / norm(r.vector)) for i, r in self.rows.items() if i.startswith("item/") and i != key]
        return sorted(found, key=lambda s: (-s[1], s[0].encode()))[:k]

if __name__ == "__main__":
    broker, prefix, until, kind, ident, k = sys.argv[1:]
    reader = Reader(broker, prefix)
    while not (reader.ready and reader.version >= int(until)):
        reader.poll()
    for key, row in reader.rows.items():
        print(key, row.version, row.prototype, *(struct.pack(">f", x).hex() for x in row.vector))
    for item, score in reader.best(kind + "/" + ident, int(k)):
        print("best %s %.6f" % (item, score))
