/* election.c - see election.h */
#include "worker/kafka/election.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "topics/topics.h"
#include "worker/clock.h"
#include "worker/kafka/client.h"
#include "worker/log.h"

#define DESCRIBE_MS 5000
#define DESCRIBE_AGAIN 3

/* What a client.id says about its process. machine: hexadecimal, of the boot and the process namespace: where it is the same, a process id
 * means the same process. */
struct member { uint64_t order; char machine[17]; long pid; };
#define MEMBER_FORMAT "s4rec-%015" PRIu64 "-%s-%ld"

struct election {
	const struct config *cfg;
	rd_kafka_t *rk;
	char topic[TOPIC_NAME_MAX];
	struct member self;
	char *member_id;     /* under which the partition was given to us; NULL = never yet */
	enum election_role role;
	int joined;          /* the group has answered at least once */
	int expired;         /* the group has forgotten us */
	int closing;
	int doubt;           /* the partition went to another one, who may be dead */
	int64_t patience_ms; /* with take.over: when it ends (monotonic) */
};

/* ---- who is in the group ---- */

static uint64_t fnv(uint64_t hash, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (uint8_t)s[i]) * 1099511628211u;
	return hash;
}

/* "0" where the system does not tell: then nobody is ever known to be dead. */
static void name_machine(char *ret, size_t size)
{
	char boot[64], space[64];
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	size_t n = f ? fread(boot, 1, sizeof boot, f) : 0;
	ssize_t m = readlink("/proc/self/ns/pid", space, sizeof space);
	if (f)
		fclose(f);
	snprintf(ret, size, "0");
	if (n && m > 0)
		snprintf(ret, size, "%016" PRIx64, fnv(fnv(14695981039346656037u, boot, n), space, (size_t)m));
}

static int parse_member(const char *client_id, struct member *ret)
{
	return client_id && sscanf(client_id, "s4rec-%15" SCNu64 "-%16[0-9a-f]-%ld", &ret->order, ret->machine, &ret->pid) == 3;
}

static int is_dead(const struct member *m, const struct member *self)
{
	if (strcmp(m->machine, self->machine) || !strcmp(m->machine, "0") || m->pid <= 0)
		return 0;
	return m->pid == self->pid || (kill((pid_t)m->pid, 0) < 0 && errno == ESRCH);
}

/* What the members other than ourselves are. low, high: their numbers, of which there need not be any. */
struct census { int members, alive, alive_before; uint64_t low, high; };

/* A group that does not answer is said, and looks empty. */
static struct census count_members(struct election *e)
{
	const struct rd_kafka_group_list *list = NULL;
	struct census n = { .low = UINT64_MAX };
	char group[512];
	snprintf(group, sizeof group, "%s-trainer", e->cfg->group_id);
	rd_kafka_resp_err_t err = rd_kafka_list_groups(e->rk, group, &list, DESCRIBE_MS);
	for (int again = 0; err && again < DESCRIBE_AGAIN; again++) { /* a coordinator that moves is away for a moment */
		usleep(200000);
		err = rd_kafka_list_groups(e->rk, group, &list, DESCRIBE_MS);
	}
	if (err)
		log_warn("group %s is not described: %s", group, rd_kafka_err2str(err));
	for (int g = 0; list && g < list->group_cnt; g++)
		for (int i = 0; i < list->groups[g].member_cnt; i++) {
			struct member m = { 0 };
			int known = parse_member(list->groups[g].members[i].client_id, &m);
			if (known && m.order == e->self.order && m.pid == e->self.pid && !strcmp(m.machine, e->self.machine))
				continue;
			int alive = !known || !is_dead(&m, &e->self);
			n.members++;
			n.alive += alive;
			n.alive_before += alive && m.order < e->self.order;
			if (!known)
				continue;
			n.low = m.order < n.low ? m.order : n.low;
			n.high = m.order > n.high ? m.order : n.high;
		}
	if (list)
		rd_kafka_group_list_destroy(list);
	return n;
}

/* Takes a number; leads already when there are members and none of them lives. */
static void take_number(struct election *e)
{
	uint64_t now_ms = (uint64_t)wall_ms();
	struct census n = count_members(e);
	if (e->cfg->take_over)
		e->self.order = (n.low < now_ms ? n.low : now_ms) - 1;
	else
		e->self.order = n.high >= now_ms ? n.high + 1 : now_ms;
	e->role = n.members && !n.alive ? ELECTION_LEADING : ELECTION_WAITING;
}

/* ---- the group's decisions, on our thread, inside election_poll and election_free ---- */

static void lose(struct election *e, const char *why)
{
	if (e->role == ELECTION_LEADING)
		log_error("lead lost: %s; start again, as a standby", why);
	e->role = ELECTION_LOST;
}

/* An id that is another one now: we were out of the group in between, and may have come back before the one who leads since. */
static void assigned(struct election *e, int ours)
{
	char *id = rd_kafka_memberid(e->rk);
	int same = !e->member_id || (id && !strcmp(id, e->member_id));
	if (e->role == ELECTION_LEADING && !ours && !e->member_id)
		e->doubt = 1; /* it led already when it joined: perhaps the other one is dead as well */
	else if (e->role == ELECTION_LEADING && (!ours || !same))
		lose(e, ours ? "this worker was out of the group" : "it was given to another worker");
	else if (ours && e->role == ELECTION_WAITING)
		e->role = ELECTION_LEADING;
	if (ours && !e->member_id && id)
		e->member_id = strdup(id);
	if (id)
		rd_kafka_mem_free(e->rk, id);
}

/* A leader that has to give its partition up keeps the lead: nearly always it gets it back, since somebody has only joined. */
static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list, void *opaque)
{
	struct election *e = opaque;
	if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
		rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(1);
		e->joined = 1;
		assigned(e, list->cnt > 0);
		rd_kafka_assign(rk, none); /* accepted, though nothing shall be read */
		rd_kafka_topic_partition_list_destroy(none);
	} else if (!e->closing && e->role == ELECTION_LEADING && rd_kafka_assignment_lost(rk)) {
		lose(e, "the group has not heard of this worker within election.timeout.ms");
		e->expired = 1; /* without unassign the client does not join again, under a number that is before the new leader's */
	} else {
		rd_kafka_assign(rk, NULL);
	}
}

/* Exit code of an error that does not pass, else 0. */
static int judge(const struct election *e, const rd_kafka_message_t *m)
{
	switch (m->err) {
	case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		log_error("group %s-trainer: %s: this user must be allowed to read and describe it and %s", e->cfg->group_id, rd_kafka_message_errstr(m), e->topic);
		return EX_NOPERM;
	case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
		log_error("election.timeout.ms=%lld is outside of what the broker allows (its group.min.session.timeout.ms and group.max.session.timeout.ms)",
		          (long long)e->cfg->election_timeout_ms);
		return EX_CONFIG;
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		log_error("%s is gone: was the topic deleted?", e->topic);
		return EX_CONFIG;
	default:
		log_warn("group %s-trainer: %s; trying on", e->cfg->group_id, rd_kafka_message_errstr(m));
		return 0;
	}
}

/* ---- life ---- */

static int join(struct election *e)
{
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
	base_ask_leaders(e->rk, e->topic);
	rd_kafka_topic_partition_list_add(topics, e->topic, RD_KAFKA_PARTITION_UA);
	rd_kafka_resp_err_t err = rd_kafka_subscribe(e->rk, topics);
	rd_kafka_topic_partition_list_destroy(topics);
	if (!err)
		return 0;
	log_error("cannot join group %s-trainer: %s", e->cfg->group_id, rd_kafka_err2str(err));
	return EX_UNAVAILABLE;
}

/* The number must be known before the handle is made, so another handle asks for it. */
static int draw_number(struct election *e)
{
	int r = client_new(&e->rk, e->cfg, CLIENT_CONSUMER);
	if (r)
		return r;
	take_number(e);
	client_free(e->rk);
	e->rk = NULL;
	return 0;
}

int election_new(struct election **ret, const struct config *c)
{
	struct election *e = calloc(1, sizeof *e);
	char id[96];
	if (!e)
		return log_no_memory();

	e->cfg = c;
	e->self.pid = (long)getpid();
	e->patience_ms = monotonic_ms() + c->election_timeout_ms;
	topic_name(e->topic, sizeof e->topic, c->topic_prefix, TOPIC_BATCHES);
	name_machine(e->self.machine, sizeof e->self.machine);
	int r = draw_number(e);
	if (r == 0) {
		snprintf(id, sizeof id, MEMBER_FORMAT, e->self.order, e->self.machine, e->self.pid);
		r = client_new_member(&e->rk, c, &(struct client_member){ .client_id = id, .on_rebalance = on_rebalance, .opaque = e });
	}
	if (r == 0)
		r = join(e);
	if (r) {
		election_free(e);
		return r;
	}
	*ret = e;
	return 0;
}

void election_free(struct election *e)
{
	if (!e)
		return;
	e->closing = 1;
	/* A join that still waits for dead members would hold up the leaving, too, for longer than it is worth. */
	if (e->rk && e->joined && !e->expired)
		rd_kafka_consumer_close(e->rk); /* (its sister with a queue of one's own makes 2.0.2 hang in destroy) */
	client_free(e->rk);
	free(e->member_id);
	free(e);
}

int election_poll(struct election *e, int timeout_ms, enum election_role *ret)
{
	int r = 0;
	rd_kafka_message_t *m = rd_kafka_consumer_poll(e->rk, timeout_ms);
	if (m) {
		if (m->err)
			r = judge(e, m);
		rd_kafka_message_destroy(m);
	}
	if (e->doubt && count_members(e).alive_before)
		lose(e, "it was given to another worker");
	e->doubt = 0;
	if (e->role == ELECTION_WAITING && e->cfg->take_over && monotonic_ms() > e->patience_ms) {
		log_warn("the leader does not let go: taking over");
		e->role = ELECTION_LEADING;
	}
	*ret = e->role;
	return r;
}
