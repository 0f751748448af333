"""sasrec.py - one training step of SASRec with S4Rec's five losses in PyTorch: what `make bench-torch` compares s4rec with.

Equations: Wei et al., WWW 2024, arXiv 2404.07219. Two forms of the same step, which give the same numbers (check.py):

    padded   every sequence left-padded to L = 50, explicit attention, three passes (sequence and two views): how the code bases of the
             field do it
    packed   no padding: layers work on the tokens of all three views at once, attention on groups of about equal length

Shapes: B sequences, L = 50, D width, T real tokens, K prototypes, N items. Item 0 is the pad, 1..N are items, N + 1 is the mask token.
Names of modules are those of the golden files in tests/model/golden.
"""
import math
import random

import torch
import torch.nn.functional as F
from torch import nn

LIMITS = (2, 4, 6, 8, 12, 16, 24, 32, 50)  # packed: attention pads to the next of these


class Options:
    L, D, heads, layers, K, dropout = 50, 64, 2, 2, 128, .5
    loss = "bce"                 # or "full"
    norm, posden = True, True
    eps, iters = .05, 3
    tau1, tau2, tau3 = .1, 1., 1.
    alpha, beta1, beta2, lam = .1, .1, .1, .1
    mask_share, crop_share, reorder_share, insert_share = .3, .8, .2, .2

    def __init__(self, **given):
        self.__dict__.update(given)


# ---- sequences as tensors -----------------------------------------------------------------------------------------------


class Padded:
    """Left-padded: token (b, L - 1) is the newest of sequence b."""

    def __init__(self, seqs, L):
        self.item = torch.tensor([[0] * (L - len(s)) + s for s in seqs])
        self.real = self.item > 0
        causal = torch.ones(L, L, dtype=torch.bool).tril()
        self.blocked = torch.where(causal & self.real[:, None, :], 0., -1e4)[:, None]  # (B,1,L,L), added to the scores

    def embed(self, m):
        return m.item(self.item) + m.pos.weight

    def attend(self, q, k, v, m):
        B, L, D = q.shape
        q, k, v = (x.view(B, L, m.o.heads, -1).transpose(1, 2) for x in (q, k, v))
        p = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + self.blocked, -1)
        return (F.dropout(p, m.o.dropout, m.training) @ v).transpose(1, 2).reshape(B, L, D)

    def tokens(self, h):
        return h[self.real]

    def mean(self, h):
        real = self.real.unsqueeze(-1).to(h.dtype)
        return (h * real).sum(1) / real.sum(1)


class Packed:
    """Tokens one after the other: sequence b has tokens start[b] .. start[b + 1] - 1, oldest first."""

    def __init__(self, seqs, L):
        n = torch.tensor([len(s) for s in seqs])
        end = n.cumsum(0)
        start = end - n
        self.n, self.B = n, len(seqs)
        self.item = torch.tensor([i for s in seqs for i in s])
        self.seq = torch.repeat_interleave(torch.arange(self.B), n)
        self.pos = L - (end[self.seq] - torch.arange(len(self.item)))
        self.groups, below = [], 0
        for limit in LIMITS:
            some = ((n > below) & (n <= limit)).nonzero().squeeze(1)
            below = limit
            if len(some):
                at = torch.arange(limit)
                real = at < n[some, None]
                token = torch.where(real, start[some, None] + at, 0)
                self.groups.append((token, real.flatten().nonzero().squeeze(1)))
        # where each token's row stands in the groups' rows, put one after the other
        self.back = torch.empty(len(self.item), dtype=torch.long)
        rows = 0
        for token, real in self.groups:
            self.back[token.flatten()[real]] = real + rows
            rows += token.numel()

    def embed(self, m):
        return m.item(self.item) + m.pos(self.pos)

    def attend(self, q, k, v, m):
        # pads stand after a sequence's end, so causality alone keeps them out
        D, out = q.shape[1], []
        qkv = torch.cat((q, k, v), 1)
        for token, _ in self.groups:
            x = qkv[token].view(*token.shape, 3, m.o.heads, -1).permute(2, 0, 3, 1, 4)
            y = F.scaled_dot_product_attention(x[0], x[1], x[2], dropout_p=m.o.dropout if m.training else 0., is_causal=True)
            out.append(y.transpose(1, 2).reshape(-1, D))
        return torch.cat(out)[self.back]

    def tokens(self, h):
        return h

    def mean(self, h):
        return torch.zeros(self.B, h.shape[1], dtype=h.dtype).index_add(0, self.seq, h) / self.n[:, None]


# ---- the model ----------------------------------------------------------------------------------------------------------


class Block(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(o.D, o.D) for _ in range(4))
        self.f1, self.f2 = nn.Linear(o.D, 4 * o.D), nn.Linear(4 * o.D, o.D)
        self.ln1, self.ln2 = nn.LayerNorm(o.D, 1e-12), nn.LayerNorm(o.D, 1e-12)

    def forward(self, x, seqs, m):
        a = seqs.attend(self.q(x), self.k(x), self.v(x), m)
        x = self.ln1(x + F.dropout(self.o(a), m.o.dropout, m.training))
        return self.ln2(x + F.dropout(self.f2(F.gelu(self.f1(x))), m.o.dropout, m.training))


class Model(nn.Module):
    def __init__(self, o, items):
        super().__init__()
        self.o, self.items = o, items
        self.item = nn.Embedding(items + 2, o.D, padding_idx=0)
        self.pos = nn.Embedding(o.L, o.D)
        self.ln = nn.LayerNorm(o.D, 1e-12)
        self.blocks = nn.ModuleList(Block(o) for _ in range(o.layers))
        self.mu = nn.Parameter(torch.empty(o.K, o.D))
        self.cls = nn.Linear(o.D, 2)
        for name, p in self.named_parameters():
            if "ln" not in name:
                nn.init.zeros_(p) if name.endswith("bias") else nn.init.normal_(p, std=.02)

    def encode(self, seqs):
        h = F.dropout(self.ln(seqs.embed(self)), self.o.dropout, self.training)
        for block in self.blocks:
            h = block(h, seqs, self)
        return h


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, dy):
        return -dy


# ---- losses -------------------------------------------------------------------------------------------------------------


def next_item(m, seqs, h, target, negative):
    """Mean over real tokens. target, negative: shaped as the tokens of the form."""
    if m.o.loss == "full":
        return F.cross_entropy(seqs.tokens(h) @ m.item.weight[1:m.items + 1].T, seqs.tokens(target) - 1)
    pos, neg = (h * m.item(target)).sum(-1), (h * m.item(negative)).sum(-1)
    return seqs.tokens(F.softplus(-pos) + F.softplus(neg)).mean()  # padded: pads are computed, then dropped


@torch.no_grad()
def sinkhorn(scores, eps, iters):
    """(B,K) rows sum to 1, columns about to B/K."""
    q = torch.exp((scores - scores.max()) / eps)
    for _ in range(iters):
        q = q / q.sum(0).clamp_min(1e-30) * (q.shape[0] / q.shape[1])
        q = q / q.sum(1, keepdim=True).clamp_min(1e-30)
    return q


def contrast(za, zb, mu, h, o):
    """za as anchor: the other users' views and the prototypes that it is not assigned to are negatives."""
    B, K = len(za), len(mu)
    same = torch.eye(B, dtype=torch.bool)
    mine = F.one_hot(h, K).bool()
    ab = za @ zb.T / o.tau2
    parts = [(za @ za.T / o.tau2).masked_fill(same, -torch.inf), ab if o.posden else ab.masked_fill(same, -torch.inf),
             (za @ mu.T / o.tau2).masked_fill(mine, -torch.inf)]
    return torch.logsumexp(torch.cat(parts, 1), 1) - ab.diagonal()


def distill(z, teacher, o):
    t = torch.log_softmax(teacher / o.tau3, 1)
    return (t.exp() * (t - torch.log_softmax(z / o.tau3, 1))).sum(1).mean()


def pooled(m, form, batch):
    """The encoder's output h of the sequences, and z, z1, z2. One pass where nothing is padded, three as the field does it."""
    seqs = [form(batch[k], m.o.L) for k in ("seq", "view1", "view2")]
    if form is Padded:
        h = [m.encode(s) for s in seqs]
        return seqs[0], h[0], [s.mean(x) for s, x in zip(seqs, h)]
    every = form(batch["seq"] + batch["view1"] + batch["view2"], m.o.L)
    h = m.encode(every)
    return seqs[0], h[:len(seqs[0].item)], every.mean(h).chunk(3)


def losses(m, form, batch):
    """sr, clust, scl, ckd, adv and their weighted sum."""
    o = m.o
    seqs, h, z = pooled(m, form, batch)
    target, negative = (form(batch[k], o.L).item for k in ("target", "negative"))
    sr = next_item(m, seqs, h, target, negative)
    mu = F.normalize(m.mu, dim=1) if o.norm else m.mu
    z, z1, z2 = (F.normalize(x, dim=1) if o.norm else x for x in z)
    scores = z @ mu.T
    q = sinkhorn(scores.detach(), o.eps, o.iters)
    hk = q.argmax(1)
    clust = -(q * torch.log_softmax(scores / o.tau1, 1)).sum(1).mean()
    scl = (contrast(z1, z2, mu, hk, o) + contrast(z2, z1, mu, hk, o)).mean()
    ckd = distill(z1, mu[hk], o) + distill(z2, mu[hk], o)
    # the classifier descends lam L, the encoder receives -lam times the gradient
    adv = F.cross_entropy(m.cls(Reverse.apply(z)), torch.tensor(batch["head"]))
    return {"sr": sr, "clust": clust, "scl": scl, "ckd": ckd, "adv": adv,
            "loss": sr + o.alpha * clust + o.beta1 * scl + o.beta2 * ckd + o.lam * adv}


# ---- batches ------------------------------------------------------------------------------------------------------------


def view(seq, pool, mask, o, rnd):
    n, op = len(seq), rnd.randrange(4)
    if op == 0:
        return [mask if rnd.random() < o.mask_share else i for i in seq]
    if op == 1:
        keep = max(1, int(o.crop_share * n))
        at = rnd.randrange(n - keep + 1)
        return seq[at:at + keep]
    if op == 2:
        k = min(n, max(2, int(o.reorder_share * n)))
        at = rnd.randrange(n - k + 1)
        part = seq[at:at + k]
        rnd.shuffle(part)
        return seq[:at] + part + seq[at + k:]
    out = []
    for i in seq:
        if rnd.random() < o.insert_share:
            out.append(rnd.choice(pool))
        out.append(i)
    return out[-o.L:]


def make_batch(samples, items, o, rnd):
    """samples: (inputs, targets, head) of the users of a batch."""
    seq = [s[0] for s in samples]
    pool = [i for s in seq for i in s]
    return {"seq": seq, "target": [s[1] for s in samples], "head": [s[2] for s in samples],
            "negative": [[rnd.randint(1, items) for _ in s] for s in seq],
            "view1": [view(s, pool, items + 1, o, rnd) for s in seq], "view2": [view(s, pool, items + 1, o, rnd) for s in seq]}


def train_step(m, adam, form, batch):
    adam.zero_grad(set_to_none=True)
    got = losses(m, form, batch)
    got["loss"].backward()
    adam.step()
    return got["loss"].item()
