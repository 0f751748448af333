"""check.py GOLDEN ... - both forms of sasrec.py against the numbers that s4rec's own step is tested with (tests/model/golden)."""
import sys

import torch

from sasrec import Model, Options, Packed, Padded, losses

KEYS = {"t1": "tau1", "t2": "tau2", "t3": "tau3", "alpha": "alpha", "b1": "beta1", "b2": "beta2", "lam": "lam", "eps": "eps", "iters": "iters",
        "d": "D", "L": "L", "heads": "heads", "layers": "layers", "K": "K", "norm": "norm", "posden": "posden", "loss": "loss"}


def read(path):
    config, batch, weight, expect, grad = {}, {}, {}, {}, {}
    for line in open(path):
        what, *rest = line.split()
        if what == "config":
            config[rest[0]] = rest[1]
        elif what in ("seq", "target", "negative", "view1", "view2"):
            batch.setdefault(what, []).append([int(x) for x in rest[1:]])
        elif what == "head":
            batch["head"] = [int(x) for x in rest]
        elif what in ("weight", "expect", "grad"):
            shape = [int(x) for x in rest[1].split("x")]
            into = {"weight": weight, "expect": expect, "grad": grad}[what]
            into[rest[0]] = torch.tensor([float(x) for x in rest[2:]], dtype=torch.double).view(shape)
    batch.setdefault("negative", batch["target"])
    return config, batch, weight, expect, grad


def check(path):
    config, batch, weight, expect, grad = read(path)
    if config["pool"] != "mean":
        return 0  # the yardstick pools by the mean only
    typed = {KEYS[k]: v if k == "loss" else float(v) if "." in v else int(v) for k, v in config.items() if k in KEYS}
    worst = 0.
    for form in (Padded, Packed):
        m = Model(Options(dropout=0., **typed), int(config["n_items"])).double()
        m.load_state_dict(weight)
        got = losses(m, form, batch)
        got["loss"].backward()
        for k in got:
            want = expect["loss" if k == "loss" else "loss_" + k].item()
            worst = max(worst, abs(got[k].item() - want) / max(abs(want), 1e-3))
        for name, p in m.named_parameters():
            want = grad[name]
            if not name.endswith("k.bias"):  # zero by nature
                worst = max(worst, ((p.grad - want).abs().max() / want.abs().max().clamp_min(1e-3)).item())
    print(f"{path.rsplit('/', 1)[-1]}: padded and packed agree with it to {worst:.1e}")
    return worst > 1e-4


torch.set_default_dtype(torch.double)
sys.exit(1 if sum(check(p) for p in sys.argv[1:]) else 0)
