// Vectors of s4rec in a Go service: the reader's contract of topics/README.md on franz-go.
//
//	go run . BROKER PREFIX UNTIL KIND ID K     reads to a complete view of version UNTIL or later; prints its rows and the K best items for KIND/ID
//
// A Reader serves Rows once it is Ready; Built, Row and Complete are told, to feed an index instead. One goroutine.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type Row struct {
	Version   uint64    `json:"version"`
	Prototype int32     `json:"prototype"`
	Vector    []float32 `json:"vector"`
	partition int32
}
type Version struct {
	Version    uint64 `json:"version"`
	Space      string `json:"space_id"`
	Items      int    `json:"items"`
	Users      int    `json:"users"`
	Prototypes int    `json:"prototypes"`
	found      [3]int // rows that were here when it came
}
type view struct {
	rows map[string]Row
	live map[int32]*[3]int // by partition and kind
}
type Reader struct {
	Rows                map[string]Row
	Ready               bool
	Version             uint64
	Built               func(topic, why string)    // a view is begun
	Row                 func(key string, row *Row) // a row of it has come, or gone (nil)
	Complete            func()                     // it takes the place of the one before
	brokers             []string
	home, wanted, topic string // wanted: the prefix that the newest pointer names
	stay                bool
	why                 string // a view must be begun
	pointer             map[int32]kgo.Offset
	client              *kgo.Client
	now, next           *view // served; being built, or nil
	end                 map[int32]int64
	seen                map[int32]Version
	pending             map[int32][]*kgo.Record
}

var kinds = map[string]int{"item": 0, "user": 1, "prototype": 2}

func (v Version) counts() [3]int { return [3]int{v.Items, v.Users, v.Prototypes} }

// A view from offset 0, beside the one that is served.
func (r *Reader) build() error {
	if r.client != nil {
		r.client.Close()
	}
	r.topic, r.next, r.end = r.wanted+".embeddings", &view{map[string]Row{}, map[int32]*[3]int{}}, map[int32]int64{}
	r.seen, r.pending = map[int32]Version{}, map[int32][]*kgo.Record{}
	eye, err := kgo.NewClient(kgo.SeedBrokers(r.brokers...))
	if err != nil {
		return err
	}
	defer eye.Close()
	ends, err := kadm.NewClient(eye).ListEndOffsets(context.Background(), r.topic) // behind transactions that are open, too
	if err == nil {
		err = ends.Error()
	}
	parts := map[string]map[int32]kgo.Offset{r.topic: {}}
	ends.Each(func(o kadm.ListedOffset) {
		parts[r.topic][o.Partition], r.end[o.Partition], r.next.live[o.Partition] = kgo.NewOffset().AtStart(), o.Offset, &[3]int{}
	})
	if r.wanted != r.home { // a newer pointer comes into the partition where this one was
		parts[r.home+".embeddings"] = r.pointer
	}
	if err == nil {
		r.client, err = kgo.NewClient(kgo.SeedBrokers(r.brokers...), kgo.ConsumePartitions(parts), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	}
	if err == nil {
		r.Built(r.topic, r.why)
	}
	r.why = ""
	return err
}

// Poll takes what has come, after waiting for it for a second at most.
func (r *Reader) Poll() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	fetches := r.client.PollFetches(ctx)
	for _, e := range fetches.Errors() {
		if errors.Is(e.Err, kerr.OffsetOutOfRange) {
			r.why = "what comes next is gone"
		} else if !errors.Is(e.Err, context.DeadlineExceeded) && !kerr.IsRetriable(e.Err) {
			return e.Err
		}
	}
	fetches.EachRecord(func(m *kgo.Record) {
		if r.why == "" && !m.Attrs.IsControl() {
			r.take(m)
		}
		if m.Topic == r.topic && m.Offset+1 >= r.end[m.Partition] {
			delete(r.end, m.Partition)
		}
	})
	r.finish(len(r.end) == 0 || fetches.NumRecords() == 0) // the last records may have been compacted away
	if r.why != "" {
		return r.build()
	}
	return nil
}

func (r *Reader) finish(atEnd bool) {
	if atEnd && r.why == "" && r.wanted+".embeddings" != r.topic {
		r.why = "readers are led to " + r.wanted
	}
	if r.next == nil || !atEnd || r.why != "" || len(r.seen) < len(r.next.live) {
		return
	}
	for _, v := range r.seen {
		if v.found != v.counts() || v.Space != r.seen[0].Space {
			return
		}
	}
	r.now, r.next, r.Rows, r.Ready, r.Version = r.next, nil, r.next.rows, true, r.smallest()
	r.Complete()
}

func (r *Reader) smallest() uint64 {
	least := r.seen[0].Version
	for _, v := range r.seen {
		if v.Version < least {
			least = v.Version
		}
	}
	return least
}

func (r *Reader) take(m *kgo.Record) {
	kind := strings.SplitN(string(m.Key), "/", 2)[0]
	_, isRow := kinds[kind]
	if kind == "pointer" && m.Topic == r.home+".embeddings" && !r.stay {
		r.wanted, r.pointer = string(m.Value), map[int32]kgo.Offset{m.Partition: kgo.NewOffset().At(m.Offset + 1)}
		if m.Value == nil {
			r.wanted = r.home
		}
	} else if m.Topic == r.topic && kind == "model" && m.Value != nil {
		r.takeVersion(m.Partition, decodeVersion(m.Value))
	} else if m.Topic == r.topic && isRow {
		r.pending[m.Partition] = append(r.pending[m.Partition], m)
		if r.next != nil {
			r.takeRows(r.next, m.Partition)
		}
	}
}

func (r *Reader) takeRows(v *view, partition int32) {
	for _, m := range r.pending[partition] {
		key := string(m.Key)
		kind := kinds[strings.SplitN(key, "/", 2)[0]]
		if old, there := v.rows[key]; there {
			v.live[old.partition][kind]--
			delete(v.rows, key)
		}
		if m.Value == nil {
			r.Row(key, nil)
			continue
		}
		row := decodeRow(m.Value)
		row.partition = partition
		v.rows[key] = row
		v.live[partition][kind]++
		r.Row(key, &row)
	}
	r.pending[partition] = nil
}

func (r *Reader) takeVersion(partition int32, v Version) {
	before, following := r.seen[partition], r.next == nil
	if following { // rows wait for this record: only here is it known of which space they are
		if v.Space != before.Space || v.Version < before.Version {
			r.why = "space " + v.Space + " follows " + before.Space
			return
		}
		r.takeRows(r.now, partition)
		v.found = *r.now.live[partition]
	} else {
		v.found = *r.next.live[partition]
	}
	r.seen[partition] = v
	if following {
		r.Version = r.smallest()
		if v.found != v.counts() { // away for longer than deletes are kept
			r.why = fmt.Sprintf("partition %d has %v rows, version %d counts %v", partition, v.found, v.Version, v.counts())
		}
	}
}

type Hit struct {
	Item  string
	Score float64
}

// Best items: for a user by dot product, for others by cosine.
func (r *Reader) Best(key string, k int) []Hit {
	q, user, hits := r.Rows[key].Vector, strings.HasPrefix(key, "user/"), []Hit{}
	for id, row := range r.Rows {
		if strings.HasPrefix(id, "item/") && id != key {
			s := dot(q, row.Vector)
			if n := math.Sqrt(dot(q, q) * dot(row.Vector, row.Vector)); !user && n > 0 {
				s /= n
			}
			hits = append(hits, Hit{id[5:], s})
		}
	}
	sort.Slice(hits, func(a, b int) bool {
		return hits[a].Score > hits[b].Score || hits[a].Score == hits[b].Score && hits[a].Item < hits[b].Item
	})
	if len(hits) > k {
		hits = hits[:k]
	}
	return hits
}

func dot(a, b []float32) (s float64) {
	for i := range a {
		s += float64(a[i]) * float64(b[i])
	}
	return s
}

// The fields of a protobuf message by their numbers: integers, and bytes.
func fields(body []byte) (ints map[uint64]uint64, bytes map[uint64][]byte) {
	ints, bytes = map[uint64]uint64{}, map[uint64][]byte{}
	next := func() uint64 { v, n := binary.Uvarint(body); body = body[n:]; return v }
	for len(body) > 0 {
		tag, size := next(), uint64(0)
		switch tag & 7 {
		case 0:
			ints[tag>>3] = next()
			continue
		case 1:
			size = 8
		case 2:
			size = next()
		case 5:
			size = 4
		}
		bytes[tag>>3], body = body[:size], body[size:]
	}
	return ints, bytes
}

func float(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }

func decodeRow(body []byte) (r Row) {
	if body[0] == '{' {
		json.Unmarshal(body, &r)
		return r
	}
	ints, bytes := fields(body) // Embedding: 1 vector, 2 int8, 3 scale, 4 version, 7 prototype
	r.Version, r.Prototype = ints[4], int32(ints[7])
	for _, q := range bytes[2] {
		r.Vector = append(r.Vector, float32(int8(q))*float(bytes[3]))
	}
	for b := bytes[1]; len(b) > 0; b = b[4:] {
		r.Vector = append(r.Vector, float(b))
	}
	return r
}

func decodeVersion(body []byte) (v Version) {
	if body[0] == '{' {
		json.Unmarshal(body, &v)
		return v
	}
	ints, bytes := fields(body) // Version: 1 version, 4 space_id, 9 items, 10 users, 11 prototypes
	return Version{Version: ints[1], Space: string(bytes[4]), Items: int(ints[9]), Users: int(ints[10]), Prototypes: int(ints[11])}
}

func main() {
	a := os.Args
	until, _ := strconv.ParseUint(a[3], 10, 64)
	k, _ := strconv.Atoi(a[6])
	r := &Reader{brokers: []string{a[1]}, home: a[2], wanted: a[2], why: "first view",
		Built:    func(topic, why string) { fmt.Fprintf(os.Stderr, "build of %s: %s\n", topic, why) },
		Row:      func(string, *Row) {},
		Complete: func() { fmt.Fprintln(os.Stderr, "complete") }}
	for err := r.build(); !(r.Ready && r.Version >= until); err = r.Poll() {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	for key, row := range r.Rows {
		fmt.Print(key, " ", row.Version, " ", row.Prototype)
		for _, x := range row.Vector {
			fmt.Printf(" %08x", math.Float32bits(x))
		}
		fmt.Println()
	}
	if _, there := r.Rows[a[4]+"/"+a[5]]; there {
		for _, h := range r.Best(a[4]+"/"+a[5], k) {
			fmt.Printf("best %s %.6f\n", h.Item, h.Score)
		}
	}
}
