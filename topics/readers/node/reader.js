// Vectors of s4rec in a Node service: the reader's contract of topics/README.md on kafkajs (with fzstd, since the topic is compressed with zstd).
//
//     node reader.js BROKER PREFIX UNTIL KIND ID K     reads to a complete view of version UNTIL or later; prints its rows and the K best items for KIND/ID
//
// A Reader serves `rows`, a Map, once it is `ready`; override built, row and complete to feed an index instead. kafkajs knows no assignment without a group:
// each view has a group of its own, that commits nothing, and begins anew should it be joined again.
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require("kafkajs");
CompressionCodecs[CompressionTypes.ZSTD] = () => ({ decompress: async (b) => Buffer.from(require("fzstd").decompress(b)) });

const kinds = ["item", "user", "prototype"];
const kindOf = (key) => kinds.indexOf(key.split("/")[0]);

// The fields of a protobuf message by their numbers: integers as BigInt, and bytes.
function fields(body) {
  let at = 0;
  const found = {};
  const varint = () => {
    let v = 0n;
    for (let shift = 0n; ; shift += 7n) {
      v |= BigInt(body[at] & 127) << shift;
      if (body[at++] < 128) return v;
    }
  };
  while (at < body.length) {
    const tag = Number(varint()), wire = tag & 7;
    if (wire === 0) {
      found[tag >> 3] = varint();
    } else {
      const size = wire === 1 ? 8 : wire === 5 ? 4 : Number(varint());
      found[tag >> 3] = body.subarray(at, at += size);
    }
  }
  return found;
}

function decodeRow(body, partition) {
  if (body[0] === 0x7b) {
    const m = JSON.parse(body);
    return { version: BigInt(m.version), prototype: m.prototype, vector: Float32Array.from(m.vector), partition };
  }
  const m = fields(body); // Embedding: 1 vector, 2 int8, 3 scale, 4 version, 7 prototype
  const vector = m[2] ? Float32Array.from(m[2], (q) => (q << 24 >> 24) * m[3].readFloatLE()) : Float32Array.from({ length: m[1].length / 4 }, (_, i) => m[1].readFloatLE(4 * i));
  return { version: m[4] ?? 0n, prototype: Number(BigInt.asIntN(32, m[7] ?? 0n)), vector, partition };
}

function decodeVersion(body) {
  if (body[0] === 0x7b) {
    const m = JSON.parse(body);
    return { version: BigInt(m.version), space: m.space_id, counts: [m.items ?? 0, m.users ?? 0, m.prototypes ?? 0] };
  }
  const m = fields(body); // Version: 1 version, 4 space_id, 9 items, 10 users, 11 prototypes
  return { version: m[1] ?? 0n, space: String(m[4] ?? ""), counts: [9, 10, 11].map((n) => Number(m[n] ?? 0n)) };
}

class Reader {
  constructor(brokers, prefix, stay = false) {
    Object.assign(this, { home: prefix, wanted: prefix, stay, rows: new Map(), ready: false, version: 0n }); // wanted: the prefix that the newest pointer names
    this.kafka = new Kafka({ clientId: "s4rec-reader", brokers: [brokers], logLevel: logLevel.NOTHING });
  }

  // For an index of your own: one is begun; a row of it has come, or gone (null); it is complete, and takes the place of the one before.
  built(why) { console.error(`build of ${this.topic}: ${why}`); }
  row(key, row) {}
  complete() { console.error("complete"); }

  // A view from offset 0, beside the one that is served.
  async build(why) {
    const old = this.consumer, admin = this.kafka.admin();
    this.consumer = null;
    if (old) await old.disconnect();
    this.topic = this.wanted + ".embeddings";
    await admin.connect();
    this.ends = await admin.fetchTopicOffsets(this.topic); // behind transactions that are open, too
    await admin.disconnect();
    const group = `s4rec-reader-${process.pid}-${Date.now()}`, topics = [this.topic], home = this.home + ".embeddings";
    if (this.topic !== home) topics.push(home); // all of it, for its pointer
    const consumer = this.consumer = this.kafka.consumer({ groupId: group, readUncommitted: false, maxWaitTimeInMs: 100 });
    consumer.on(consumer.events.GROUP_JOIN, () => this.begin(why));
    await consumer.connect();
    await consumer.subscribe({ topics, fromBeginning: true });
    await consumer.run({ autoCommit: false, eachBatch: async ({ batch, resolveOffset, heartbeat }) => {
      for (const m of batch.messages) {
        if (this.consumer !== consumer || this.why) return;
        this.take(batch.topic, batch.partition, m);
        resolveOffset(m.offset);
      }
      if (batch.topic === this.topic && BigInt(batch.lastOffset()) + 1n >= (this.end.get(batch.partition) ?? 0n)) this.end.delete(batch.partition);
      this.heard = Date.now();
      await heartbeat();
    } });
  }

  begin(why) {
    this.end = new Map(this.ends.filter((p) => p.high !== p.low).map((p) => [p.partition, BigInt(p.high)]));
    this.next = { rows: new Map(), live: new Map(this.ends.map((p) => [p.partition, [0, 0, 0]])) };
    Object.assign(this, { seen: new Map(), pending: new Map(), why: null, heard: Date.now() });
    this.built(why);
  }

  // From time to time: is a view complete, or must one be begun?
  async look() {
    if (!this.consumer) await this.build("first view");
    if (!this.seen) return;
    const seen = [...this.seen.values()], atEnd = this.end.size === 0 || Date.now() - this.heard > 1000; // the last records may have been compacted away
    if (!this.why && atEnd && this.wanted + ".embeddings" !== this.topic) this.why = "readers are led to " + this.wanted;
    if (this.why) {
      await this.build(this.why);
    } else if (this.next && atEnd && seen.length === this.next.live.size && seen.every((v) => v.fits && v.space === seen[0].space)) {
      Object.assign(this, { now: this.next, rows: this.next.rows, next: null, ready: true, version: this.smallest() });
      this.complete();
    }
  }

  smallest() { return [...this.seen.values()].reduce((least, v) => v.version < least ? v.version : least, 1n << 64n); }

  take(topic, partition, m) {
    const key = String(m.key ?? "");
    if (key === "pointer" && topic === this.home + ".embeddings" && !this.stay) {
      this.wanted = m.value ? String(m.value) : this.home;
    } else if (topic === this.topic && key === "model" && m.value) {
      this.takeVersion(partition, decodeVersion(m.value));
    } else if (topic === this.topic && kindOf(key) >= 0) {
      if (!this.pending.has(partition)) this.pending.set(partition, []);
      this.pending.get(partition).push([key, m.value]);
      if (this.next) this.takeRows(this.next, partition);
    }
  }

  takeRows(view, partition) {
    for (const [key, value] of this.pending.get(partition) ?? []) {
      const old = view.rows.get(key), row = value ? decodeRow(value, partition) : null;
      if (old) view.live.get(old.partition)[kindOf(key)]--;
      view.rows.delete(key);
      if (row) {
        view.rows.set(key, row);
        view.live.get(partition)[kindOf(key)]++;
      }
      this.row(key, row);
    }
    this.pending.delete(partition);
  }

  takeVersion(partition, v) {
    const before = this.seen.get(partition), following = !this.next;
    if (following) { // rows wait for this record: only here is it known of which space they are
      if (v.space !== before.space || v.version < before.version) return void (this.why = `space ${v.space} follows ${before.space}`);
      this.takeRows(this.now, partition);
    }
    const found = (this.next ?? this.now).live.get(partition);
    v.fits = String(found) === String(v.counts);
    this.seen.set(partition, v);
    if (!following) return;
    this.version = this.smallest();
    if (!v.fits) this.why = `partition ${partition} has ${found} rows, version ${v.version} counts ${v.counts}`; // away for longer than deletes are kept
  }

  // [item, score]: for a user by dot product, for others by cosine.
  best(key, k) {
    const dot = (a, b) => a.reduce((s, x, i) => s + x * b[i], 0), dot64 = (a, b) => dot(Float64Array.from(a), b);
    const q = this.rows.get(key).vector, user = key.startsWith("user/");
    return [...this.rows].filter(([id]) => id.startsWith("item/") && id !== key)
      .map(([id, r]) => [id.slice(5), dot64(q, r.vector) / (user ? 1 : Math.sqrt(dot64(q, q) * dot64(r.vector, r.vector)) || Infinity)])
      .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, k);
  }
}

async function main([broker, prefix, until, kind, id, k]) {
  const r = new Reader(broker, prefix);
  while (!(r.ready && r.version >= BigInt(until))) {
    await r.look();
    await new Promise((done) => setTimeout(done, 20));
  }
  const hex = (x) => { const b = Buffer.alloc(4); b.writeFloatBE(x); return b.toString("hex"); };
  for (const [key, row] of r.rows) console.log([key, row.version, row.prototype, ...Array.from(row.vector, hex)].join(" "));
  if (r.rows.has(`${kind}/${id}`)) for (const [item, score] of r.best(`${kind}/${id}`, Number(k))) console.log(`best ${item} ${score.toFixed(6)}`);
  await r.consumer.disconnect();
}
if (require.main === module) main(process.argv.slice(2)).catch((e) => { console.error(String(e)); process.exit(1); });
