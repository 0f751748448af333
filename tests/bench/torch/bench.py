"""bench.py S4REC WORK [DATA] [OPTION ...] - `make bench-torch`: one epoch of s4rec beside the same epoch in PyTorch, in one run.

Both do the same work (check.py holds the PyTorch form against s4rec's golden numbers): SASRec, width 64, two layers, dropout .5, batches of
256, Adam, all five losses with 128 prototypes, on the same users with the same lengths and on as many threads. Rounds alternate between the two, and
each figure is the best round, since other processes disturb only upwards. Times include making the batches, not validation; an epoch of
PyTorch is measured on some batches of it and scaled. Beside wall-clock time stands processor time, which says more where the machine is
shared: PyTorch's threads wait for each other at every operation, so one busy core slows both. --threads 1 is the fairest there.
"""
import argparse
import os
import random
import re
import subprocess
import sys
import time

import torch

from sasrec import Model, Options, Packed, Padded, make_batch, train_step

BATCH = 256
USERS, ITEMS = 22363, 12101  # of Amazon Beauty


def synthetic(path):
    """As many users and items as Beauty, lengths from a Lomax distribution that fits its own (mean 8.9, a third has 5), items by Zipf."""
    rnd = random.Random(1)
    once = rnd.sample(range(1, ITEMS + 1), ITEMS)  # every item comes at least once
    weight = [1 / (i + 30) ** .8 for i in range(ITEMS)]
    with open(path + ".new", "w") as f:
        for user in range(1, USERS + 1):
            n = min(204, 5 + int(6.2 * (rnd.random() ** (-1 / 2.4) - 1)))
            seq = rnd.choices(range(1, ITEMS + 1), weight, k=n)
            if once:
                seq[0] = once.pop()
            f.write(" ".join(map(str, [user] + seq)) + "\n")
    os.replace(path + ".new", path)


def samples_of(path, L):
    """(inputs, targets, head) of each user with something to train: all but the last two items, the newest L; items numbered from 1."""
    number, users = {}, []
    for line in open(path):
        users.append([number.setdefault(i, len(number) + 1) for i in line.split()[1:]])
    by_length = sorted(range(len(users)), key=lambda u: -len(users[u]))
    head = set(by_length[:len(users) // 5])
    found = [(s[:-3][-L:], s[1:-2][-L:], int(u in head)) for u, s in enumerate(users) if len(s) > 3]
    return found, len(number)


class Torch:
    """One form of the model in PyTorch, trained on through all rounds."""

    def __init__(self, form, loss, samples, items):
        self.form, self.samples, self.items = form, samples, items
        self.rnd = random.Random(1)
        self.o = Options(loss=loss)
        torch.manual_seed(1)
        self.m = Model(self.o, items).train()
        self.adam = torch.optim.Adam(self.m.parameters(), lr=1e-3)
        self.wall = self.cpu = float("inf")
        self.run(2)  # warm

    def run(self, steps):
        """Seconds a step: wall-clock, processor."""
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(steps):
            train_step(self.m, self.adam, self.form, make_batch(self.rnd.sample(self.samples, BATCH), self.items, self.o, self.rnd))
        return (time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps

    def round(self, steps):
        wall, cpu = self.run(steps)
        epoch = len(self.samples) / BATCH
        self.wall, self.cpu = min(self.wall, wall * epoch), min(self.cpu, cpu * epoch)


class S4rec:
    def __init__(self, binary, loss, path, threads):
        self.command = [binary, "eval", "loo", path, "--loss", loss, "--negatives", "1", "--threads", str(threads), "--batch.users", str(BATCH),
                        "--dropout", "0.5", "--cosine", "false", "--low.pass", "false", "--sinkhorn.queue", "0", "--clip", "0", "--warmup.steps", "0",
                        "--schedule", "constant", "--eval.every", "100", "--prototypes", str(Options.K), "--tau1", str(Options.tau1),
                        "--tau2", str(Options.tau2), "--tau3", str(Options.tau3), "--alpha", str(Options.alpha), "--beta1", str(Options.beta1),
                        "--beta2", str(Options.beta2), "--lambda", str(Options.lam)]
        self.wall = self.cpu = self.beside = float("inf")

    def run(self, epochs):
        """Wall-clock seconds of each epoch, processor seconds of the whole program."""
        before = os.times()
        p = subprocess.run(self.command + ["--epochs", str(epochs)], capture_output=True, text=True)
        after = os.times()
        took = [float(x) for x in re.findall(r"epoch=\d+ .*?train_s=([0-9.]+)", p.stderr)]
        if p.returncode or len(took) < epochs:
            sys.exit(f"{' '.join(self.command)} failed ({p.returncode}):\n{p.stderr}")
        return took[:epochs], after.children_user + after.children_system - before.children_user - before.children_system

    def round(self, epochs):
        took, cpu = self.run(epochs)
        self.wall = min(self.wall, *took)
        # what a run does beside training is what one of a single epoch has, less that epoch
        self.beside = min(self.beside, self.run(1)[1])
        self.cpu = min(self.cpu, (cpu - self.beside) / (epochs - 1))


def line(loss, name, t, how):
    print(f"{loss:5} {name:22} {t.wall:8.2f} s/epoch {t.cpu:8.2f} processor s/epoch   ({how})")


def compare(loss, a, samples, items):
    ours = S4rec(a.s4rec, loss, a.path, a.threads)
    padded, packed = Torch(Padded, loss, samples, items), Torch(Packed, loss, samples, items)
    print(f"{loss:5} command: {' '.join(ours.command)} --epochs {a.epochs}", flush=True)
    for _ in range(a.rounds):
        padded.round(a.batches)
        packed.round(2 * a.batches)
        ours.round(a.epochs)
    line(loss, "PyTorch padded to 50", padded, f"from {a.batches} batches")
    line(loss, "PyTorch packed", packed, f"from {2 * a.batches} batches")
    line(loss, "s4rec", ours, "whole epochs")
    for what, name in ((padded, "padded"), (packed, "packed")):
        print(f"{loss:5} ratio to {name} PyTorch: {what.wall / ours.wall:.1f}   (processor time: {what.cpu / ours.cpu:.1f})", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("s4rec", help="the binary")
    p.add_argument("work", help="folder for the synthetic file")
    p.add_argument("data", nargs="?", default="", help="folder with beauty_sequences.txt; without it a synthetic file of the same size")
    p.add_argument("--loss", nargs="+", default=["bce", "full"], choices=["bce", "full"])
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--batches", type=int, default=6, help="of padded PyTorch in a round; packed does twice as many")
    p.add_argument("--epochs", type=int, default=3, help="of s4rec in a round, at least 2")
    a = p.parse_args()

    a.path = os.path.join(a.data or a.work, "beauty_sequences.txt" if a.data else "like_beauty_sequences.txt")
    if not a.data and not os.path.exists(a.path):
        synthetic(a.path)
    torch.set_num_threads(a.threads)
    samples, items = samples_of(a.path, Options.L)
    tokens = sum(len(s[0]) for s in samples)
    print(f"{'Beauty' if a.data else 'synthetic, like Beauty (DATA=folder for the real one)'}: {len(samples)} users, {items} items, {tokens} tokens an epoch; "
          f"batches of {BATCH}, {-(-len(samples) // BATCH)} an epoch; {a.threads} threads; PyTorch {torch.__version__}; "
          f"best of {a.rounds} rounds, PyTorch's epochs scaled from some batches", flush=True)
    if os.getloadavg()[0] > .5:
        print(f"note: other processes keep this machine busy (load {os.getloadavg()[0]:.1f}): with several threads PyTorch suffers most and the ratios flatter s4rec; trust processor time with --threads 1")
    for loss in a.loss:
        compare(loss, a, samples, items)


main()
