import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.*;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.TopicPartition;
import static java.nio.charset.StandardCharsets.UTF_8;

/** Vectors of s4rec in a Java service: the reader's contract of topics/README.md on kafka-clients and Jackson.
 *
 *      java -cp 'lib/*' Reader.java BROKER PREFIX UNTIL KIND ID K     reads to a complete view of version UNTIL or later; prints its rows and the K best items
 *
 *  Serves `rows` once it is `ready`; override built, row and complete to feed an index instead. One thread. */
public class Reader {
	record Row(long version, int prototype, float[] vector, int partition) {}
	record Version(long version, String space, long[] counts, boolean fits) {}
	record Hit(String item, double score) {}
	static final List<String> KINDS = List.of("item", "user", "prototype");
	static final ObjectMapper JSON = new ObjectMapper();

	final Map<String, Object> settings = new HashMap<>(Map.of("enable.auto.commit", false, "auto.offset.reset", "none",
		"key.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer", "value.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer"));
	final String home;
	final boolean stay;
	final KafkaConsumer<byte[], byte[]> consumer;
	final Map<Integer, Version> seen = new HashMap<>(); // the newest version record of each partition
	final Map<Integer, List<ConsumerRecord<byte[], byte[]>>> pending = new HashMap<>();
	Map<String, Row> rows = new HashMap<>(), next;
	Map<Integer, long[]> live = new HashMap<>(), nextLive; // rows by kind
	Map<TopicPartition, Long> end;
	String wanted, topic, why = "first view"; // wanted: the prefix that the newest pointer names; why: a view must be begun
	TopicPartition pointer;
	long pointerOffset, version;
	boolean ready, building;

	Reader(String brokers, String prefix, boolean stay) {
		settings.put("bootstrap.servers", brokers);
		home = wanted = prefix;
		this.stay = stay;
		settings.put("isolation.level", "read_committed");
		consumer = new KafkaConsumer<>(settings);
	}

	/* For an index of your own: one is begun; a row of it has come, or gone (null); it is complete, and takes the place of the one before. */
	void built(String why) { System.err.println("build of " + topic + ": " + why); }
	void row(String key, Row row) {}
	void complete() { System.err.println("complete"); }

	/** A view from offset 0, beside the one that is served. */
	private void build() {
		topic = wanted + ".embeddings";
		List<TopicPartition> parts = consumer.partitionsFor(topic).stream().map(p -> new TopicPartition(topic, p.partition())).collect(Collectors.toList());
		settings.put("isolation.level", "read_uncommitted"); // sees the end behind transactions that are open
		try (var eye = new KafkaConsumer<byte[], byte[]>(settings)) { end = eye.endOffsets(parts); }
		next = new HashMap<>();
		nextLive = new HashMap<>();
		for (var p : parts) nextLive.put(p.partition(), new long[3]);
		seen.clear();
		pending.clear();
		List<TopicPartition> all = new ArrayList<>(parts);
		if (!wanted.equals(home)) all.add(pointer); // a newer one comes into the partition where this one was
		consumer.assign(all);
		consumer.seekToBeginning(parts);
		if (!wanted.equals(home)) consumer.seek(pointer, pointerOffset);
		building = true;
		built(why);
		why = null;
	}

	/** Takes what has come, after waiting for it for so long at most. */
	void poll(Duration timeout) {
		try {
			if (why == null)
				for (var r : consumer.poll(timeout)) if (why == null) take(r);
		} catch (InvalidOffsetException e) {
			why = "what comes next is gone";
		}
		boolean atEnd = why == null && end.entrySet().stream().allMatch(e -> consumer.position(e.getKey()) >= e.getValue());
		if (atEnd && !(wanted + ".embeddings").equals(topic)) why = "readers are led to " + wanted;
		if (atEnd && why == null && building && seen.size() == end.size() && seen.values().stream().allMatch(Version::fits)
			&& seen.values().stream().map(Version::space).distinct().count() == 1) {
			rows = next;
			live = nextLive;
			building = false;
			ready = true;
			version = seen.values().stream().mapToLong(Version::version).min().getAsLong();
			complete();
		}
		if (why != null) build();
	}

	private void take(ConsumerRecord<byte[], byte[]> r) {
		String key = new String(r.key() == null ? new byte[0] : r.key(), UTF_8);
		if (key.equals("pointer") && r.topic().equals(home + ".embeddings") && !stay) {
			wanted = r.value() == null ? home : new String(r.value(), UTF_8);
			pointer = new TopicPartition(r.topic(), r.partition());
			pointerOffset = r.offset() + 1;
		} else if (r.topic().equals(topic) && key.equals("model") && r.value() != null) {
			takeVersion(r.partition(), r.value());
		} else if (r.topic().equals(topic) && KINDS.contains(key.split("/")[0])) {
			pending.computeIfAbsent(r.partition(), p -> new ArrayList<>()).add(r);
			if (building) takeRows(r.partition(), next, nextLive);
		}
	}

	private void takeRows(int partition, Map<String, Row> rows, Map<Integer, long[]> live) {
		for (var r : pending.getOrDefault(partition, List.of())) {
			String key = new String(r.key(), UTF_8);
			int kind = KINDS.indexOf(key.split("/")[0]);
			Row row = r.value() == null ? null : decodeRow(r.value(), partition), old = row == null ? rows.remove(key) : rows.put(key, row);
			if (old != null) live.get(old.partition())[kind]--;
			if (row != null) live.get(partition)[kind]++;
			row(key, row);
		}
		pending.remove(partition);
	}

	private void takeVersion(int partition, byte[] body) {
		Version v = decodeVersion(body, null), before = seen.get(partition);
		if (!building) { // rows wait for this record: only here is it known of which space they are
			if (!v.space().equals(before.space()) || v.version() < before.version()) {
				why = "space " + v.space() + " follows " + before.space();
				return;
			}
			takeRows(partition, rows, live);
		}
		long[] found = (building ? nextLive : live).get(partition);
		seen.put(partition, decodeVersion(body, found));
		version = building ? version : seen.values().stream().mapToLong(Version::version).min().getAsLong();
		if (!building && !Arrays.equals(found, v.counts())) // away for longer than deletes are kept
			why = "partition " + partition + " has " + Arrays.toString(found) + " rows, version " + v.version() + " counts " + Arrays.toString(v.counts());
	}

	/** For a user by dot product, for others by cosine. */
	List<Hit> best(String key, int k) {
		float[] q = rows.get(key).vector();
		boolean user = key.startsWith("user/");
		return rows.entrySet().stream().filter(e -> e.getKey().startsWith("item/") && !e.getKey().equals(key))
			.map(e -> new Hit(e.getKey().substring(5), dot(q, e.getValue().vector()) / (user ? 1 : length(q) * length(e.getValue().vector()))))
			.sorted(Comparator.comparingDouble((Hit h) -> -h.score()).thenComparing(Hit::item)).limit(k).collect(Collectors.toList());
	}
	static double dot(float[] a, float[] b) { double s = 0; for (int i = 0; i < a.length; i++) s += (double) a[i] * b[i]; return s; }
	static double length(float[] x) { double n = Math.sqrt(dot(x, x)); return n > 0 ? n : Double.POSITIVE_INFINITY; }

	/** The fields of a protobuf message by their numbers: Long, or ByteBuffer. */
	static Map<Integer, Object> fields(byte[] body) {
		ByteBuffer b = ByteBuffer.wrap(body);
		Map<Integer, Object> found = new HashMap<>();
		while (b.hasRemaining()) {
			long tag = varint(b);
			int wire = (int) tag & 7, size = wire == 0 ? 0 : wire == 1 ? 8 : wire == 5 ? 4 : (int) varint(b);
			found.put((int) (tag >> 3), wire == 0 ? (Object) varint(b) : b.slice(b.position(), size).order(ByteOrder.LITTLE_ENDIAN));
			b.position(b.position() + size);
		}
		return found;
	}
	static long varint(ByteBuffer b) { long v = 0; for (int shift = 0, x; ; shift += 7) { x = b.get(); v |= (x & 127L) << shift; if (x >= 0) return v; } }
	static JsonNode json(byte[] body) { try { return JSON.readTree(body); } catch (java.io.IOException e) { throw new IllegalArgumentException(e); } }

	static Row decodeRow(byte[] body, int partition) {
		float[] x;
		if (body[0] == '{') {
			JsonNode m = json(body), v = m.get("vector");
			x = new float[v.size()];
			for (int i = 0; i < x.length; i++) x[i] = v.get(i).floatValue();
			return new Row(m.path("version").asLong(), m.path("prototype").asInt(), x, partition);
		}
		var m = fields(body); // Embedding: 1 vector, 2 int8, 3 scale, 4 version, 7 prototype
		ByteBuffer v = (ByteBuffer) m.get(1), q = (ByteBuffer) m.get(2);
		x = new float[q != null ? q.remaining() : v.remaining() / 4];
		for (int i = 0; i < x.length; i++) x[i] = q != null ? q.get(i) * ((ByteBuffer) m.get(3)).getFloat(0) : v.getFloat(4 * i);
		return new Row((Long) m.getOrDefault(4, 0L), (int) (long) (Long) m.getOrDefault(7, 0L), x, partition);
	}

	/** fits: what it counts is there; there null = not asked for. */
	static Version decodeVersion(byte[] body, long[] there) {
		if (body[0] == '{') {
			JsonNode m = json(body);
			long[] counts = { m.path("items").asLong(), m.path("users").asLong(), m.path("prototypes").asLong() };
			return new Version(m.path("version").asLong(), m.path("space_id").asText(), counts, Arrays.equals(counts, there));
		}
		var m = fields(body); // Version: 1 version, 4 space_id, 9 items, 10 users, 11 prototypes
		long[] counts = { (Long) m.getOrDefault(9, 0L), (Long) m.getOrDefault(10, 0L), (Long) m.getOrDefault(11, 0L) };
		return new Version((Long) m.getOrDefault(1, 0L), m.containsKey(4) ? UTF_8.decode((ByteBuffer) m.get(4)).toString() : "", counts, Arrays.equals(counts, there));
	}

	public static void main(String[] a) {
		Reader r = new Reader(a[0], a[1], false);
		while (!(r.ready && r.version >= Long.parseLong(a[2]))) r.poll(Duration.ofSeconds(1));
		r.rows.forEach((key, row) -> {
			StringBuilder line = new StringBuilder(key + " " + row.version() + " " + row.prototype());
			for (float x : row.vector()) line.append(String.format(" %08x", Float.floatToRawIntBits(x)));
			System.out.println(line);
		});
		if (r.rows.containsKey(a[3] + "/" + a[4]))
			for (Hit h : r.best(a[3] + "/" + a[4], Integer.parseInt(a[5]))) System.out.printf(Locale.ROOT, "best %s %.6f%n", h.item(), h.score());
	}
}
