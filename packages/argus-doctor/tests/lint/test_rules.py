"""What a script's text gives away, in the styles in which people write; healthy scripts give away nothing."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import dedent

import pytest

from argus_doctor.errors import ArgusError
from argus_doctor.lint import Script, rules
from argus_doctor.lint.tree import Tree
from doctor_bench.case import cases_of

PLAIN = """
    model = nn.Sequential(nn.Linear(8, 32), nn.Dropout(0.1), nn.Linear(32, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 10)
    losses = []
    loader = DataLoader(train_set, batch_size=32, shuffle=True)
    for epoch in range(10):
        model.train()
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        schedule.step()
        model.eval()
        with torch.no_grad():
            accuracy = (model(x_val).argmax(1) == y_val).float().mean()
"""
FUNCTIONS = """
    criterion = nn.CrossEntropyLoss()

    def train_step(model, optimizer, x, y):
        optimizer.zero_grad(set_to_none=True)
        scores = model(x)
        loss = criterion(scores, y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    @torch.no_grad()
    def evaluate(model, x, y):
        model.eval()
        return (model(x).argmax(1) == y).float().mean().item()

    def main():
        model = Net(dropout=0.1)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        order = torch.randperm(len(points))
        for epoch in range(10):
            model.train()
            total = 0.0
            for x, y in zip(points[order].split(32), labels[order].split(32)):
                total += train_step(model, optimizer, x, y)
            evaluate(model, points, labels)
"""
CLASSES = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(8, 32)
            self.head = nn.Linear(32, 4)

        def forward(self, x):
            hidden = F.relu(self.body(x))
            return self.head(hidden)

    class Trainer:
        def __init__(self, model):
            self.model = model
            for p in self.model.body.parameters():
                p.requires_grad = False
            self.criterion = nn.CrossEntropyLoss()
            self.opt = torch.optim.Adam([p for p in self.model.parameters() if p.requires_grad])

        def fit(self, loader):
            for batch in loader:
                self.opt.zero_grad()
                loss = self.criterion(self.model(batch["x"]), batch["y"])
                loss.backward()
                self.opt.step()
"""
CLOSURES = """
    def fit(model, loader):
        optimizer = torch.optim.LBFGS(model.parameters())
        for x, y in loader:
            def closure():
                optimizer.zero_grad()
                loss = F.nll_loss(F.log_softmax(model(x), 1), y)
                loss.backward()
                return loss
            optimizer.step(closure)
"""
STYLES = {"plain": PLAIN, "functions": FUNCTIONS, "classes": CLASSES, "closures": CLOSURES}

FAULTS = [
    ("target-not-updated", "plain", "schedule.step()", "model.load_state_dict(model.state_dict())"),
    ("missing-zero-grad", "plain", "optimizer.zero_grad()", "pass"),
    ("missing-zero-grad", "functions", "optimizer.zero_grad(set_to_none=True)", "pass"),
    ("missing-zero-grad", "classes", "self.opt.zero_grad()", "pass"),
    ("wrong-sign", "plain", "loss = F.cross", "loss = -F.cross"),
    ("wrong-sign", "plain", "loss.backward()", "(-loss).backward()"),
    ("wrong-sign", "functions", "loss = criterion", "loss = -criterion"),
    ("wrong-sign", "functions", "lr=1e-3", "lr=1e-3, maximize=True"),
    ("wrong-sign", "classes", "loss = self.criterion", "loss = -self.criterion"),
    ("double-softmax", "plain", "F.cross_entropy(model(x), y)", "F.cross_entropy(model(x).softmax(1), y)"),
    ("double-softmax", "plain", "nn.Linear(32, 4))", "nn.Linear(32, 4), nn.Softmax(1))"),
    (
        "double-softmax",
        "plain",
        "loss = F.cross_entropy(model(x), y)",
        "given = nn.Softmax(dim=1)(model(x)); loss = F.cross_entropy(given, y)",
    ),
    ("double-softmax", "functions", "scores = model(x)", "scores = torch.softmax(model(x), 1)"),
    ("double-softmax", "classes", "return self.head(hidden)", "return torch.sigmoid(self.head(hidden))"),
    ("missing-softmax", "closures", "F.log_softmax(model(x), 1)", "F.softmax(model(x), 1)"),
    ("training-in-evaluation-mode", "plain", "model.train()", "pass"),
    ("evaluation-in-training-mode", "plain", "model.eval()", "pass"),
    ("evaluation-in-training-mode", "functions", "model.eval()", "pass"),
    (
        "evaluation-in-training-mode",
        "functions",
        "@torch.no_grad()\n    def evaluate(model, x, y):\n        model.eval()",
        "@torch.inference_mode()\n    def evaluate(model, x, y):\n        pass",
    ),
    ("graph-kept", "plain", "losses.append(loss.item())", "losses.append(loss)"),
    ("graph-kept", "plain", "losses.append(loss.item())", "total += loss"),
    ("stale-optimizer", "plain", "losses = []", "model[2] = nn.Linear(32, 7)"),
    ("stale-optimizer", "functions", "order = torch.randperm(len(points))", "model.head = nn.Linear(32, 7)"),
    ("missing-freeze", "classes", "p.requires_grad = False", "p.require_grad = False"),
    ("missing-freeze", "classes", "p.requires_grad = False", "p.requires_grad == False"),
    (
        "missing-freeze",
        "classes",
        "self.criterion = nn",
        "self.model.requires_grad_(True); self.criterion = nn",
    ),
    ("learning-rate-vanished", "plain", "losses.append(loss.item())", "schedule.step()"),
    ("no-gradient", "classes", "return self.head(hidden)", "return self.head(hidden).detach()"),
    (
        "no-gradient",
        "classes",
        "return self.head(hidden)",
        "with torch.inference_mode(): return self.head(hidden)",
    ),
    ("no-gradient", "plain", "loss.backward()", "loss.backward(); optimizer.zero_grad()"),
    ("data-not-shuffled", "plain", "shuffle=True", "shuffle=False"),
    ("labels-unrelated", "functions", "labels[order]", "labels[torch.randperm(len(labels))]"),
]


def hits(text: str) -> list[str]:
    return [slug for slug, _, _ in rules.hits(Tree(ast.parse(dedent(text))))]


@pytest.mark.parametrize("style", STYLES)
def test_a_script_without_a_fault_gives_away_nothing(style: str) -> None:
    assert hits(STYLES[style]) == []


@pytest.mark.parametrize(("slug", "style", "right", "wrong"), FAULTS)
def test_a_fault_is_read_off_the_text(slug: str, style: str, right: str, wrong: str) -> None:
    text = STYLES[style]
    assert text.count(right) == 1
    assert set(hits(text.replace(right, wrong))) == {slug}


def test_every_rule_has_a_fault_here() -> None:
    silent = set(rules.RULES)
    for _, style, right, wrong in FAULTS:
        tree = Tree(ast.parse(dedent(STYLES[style].replace(right, wrong))))
        silent -= {rule for rule in silent if list(rule(tree))}
    assert not silent


@pytest.mark.parametrize(
    "text",
    [
        "for x in data:\n    loss = model(x)\n    loss.backward()",  # accumulates for whoever calls it
        "def step(loss):\n    loss.backward()\n    opt.step()\n    opt.zero_grad()",
        "for x in data:\n    for p in model.parameters():\n        p.grad = None\n    f(x).backward()\n    opt.step()",
        "probabilities = F.softmax(model(x), 1)\nprint(probabilities)",
        "loss = F.nll_loss(F.log_softmax(model(x), 1), y)",
        "loss = -log_likelihood(model(x), y).mean()",
        "score = -loss.item()\nbest = max(best, -val_loss)",
        "generator = torch.Generator()\nx = data[torch.randint(10, (4,))]",
        "loader = DataLoader(val_set, shuffle=False)",
        "total += loss.item()\nlosses.append(loss.detach())",
        # Copies that are meant to stay: a reference, the target of random network distillation.
        "reference = copy.deepcopy(policy)\ntarget = Random()\n"
        "for x in data:\n    loss = (policy(x) - reference(x)).mean() + F.mse_loss(guess(x), target(x))\n",
        "",
    ],
)
def test_what_only_looks_like_a_fault(text: str) -> None:
    assert hits(text) == []


def test_no_rule_fires_on_a_healthy_script_or_a_twin() -> None:
    seen = set()
    for case in cases_of("dev"):
        text = case.twin_source()
        if text not in seen:
            seen.add(text)
            assert not hits(text), case.title
    assert len(seen) > 30


def test_what_is_no_script_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    for content in (b"for x in:\n", b"\xff\xfe", b"x = '\0'"):
        file.write_bytes(content)
        with pytest.raises(ArgusError) as raised:
            Script.read(file)
        assert "train.py" in str(raised.value.where) and raised.value.remedy
    with pytest.raises(ArgusError):
        Script.read(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["lösung = 1\n".encode("utf-8-sig"), "# -*- coding: latin-1 -*-\nlösung = 1\n".encode("latin-1")],
)
def test_a_script_is_read_as_python_reads_it(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_bytes(content)
    assert "lösung" in Script.read(file).text


@pytest.mark.parametrize(
    ("call", "unmasked"),
    [
        ("F.scaled_dot_product_attention(q, k, v)", True),
        ("F.scaled_dot_product_attention(q, k, v, is_causal=False)", True),
        ("F.scaled_dot_product_attention(q, k, v, is_causal=True)", False),
        ("F.scaled_dot_product_attention(q, k, v, mask)", False),
        ("F.scaled_dot_product_attention(q, k, v, is_causal=cache is None)", False),
        ("F.scaled_dot_product_attention(q, k, v, **options)", False),
    ],
)
def test_attention_without_a_mask_is_seen(call: str, unmasked: bool) -> None:
    text = f"y = {call}\n"
    assert (rules.unmasked_attention(Tree(ast.parse(text))) is not None) == unmasked
    assert not hits(text)  # of itself no fault


def test_a_finding_says_the_line(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "other.load_state_dict(target.state_dict())\ntarget.load_state_dict(target.state_dict())\n"
    )
    (found,) = Script.read(script).findings()
    assert (found.slug, found.where) == ("target-not-updated", f"{script}:2")


STEP = """
    @torch.no_grad()
    def follow(ema, model):
        for p, q in zip(ema.parameters(), model.parameters()):
            p.mul_(0.99).add_(q, alpha=0.01)

    def accuracy(net):
        return (net(x_val).argmax(1) == y_val).float().mean()

    model = nn.Sequential(nn.Linear(8, 32), nn.Dropout(0.1), nn.Linear(32, 4))
    ema = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        outputs = model(x)
        optimizer.zero_grad()
        F.cross_entropy(outputs, y).backward()
        optimizer.step()
        with torch.no_grad():
            BLOCK
"""


@pytest.mark.parametrize(
    ("block", "evaluates"),
    [
        ("for p, q in zip(ema.parameters(), model.parameters()): p.lerp_(q, 0.01)", False),
        ("follow(ema, model)", False),
        ("for p in model.parameters(): p.clamp_(-0.5, 0.5)", False),
        ("right += (outputs.argmax(1) == y).sum().item()", False),
        ("right += (model(x).argmax(1) == y).sum().item()", False),  # of the batch that it trains on
        ("right = (model(x_val).argmax(1) == y_val).sum().item()", True),
        ("for x, y in val_loader: right += (model(x).argmax(1) == y).sum()", True),
        ("right = accuracy(model)", True),
        ("text = model.generate(prompt)", True),
    ],
)
def test_an_evaluation_calls_a_model(block: str, evaluates: bool) -> None:
    assert hits(STEP.replace("BLOCK", block)) == ["evaluation-in-training-mode"] * evaluates


def test_a_forward_pass_is_no_evaluation() -> None:
    found = hits(
        "class Byol(nn.Module):\n    def __init__(self, net):\n        self.drop = nn.Dropout(0.1)\n"
        "        self.target = copy.deepcopy(net)\n        print(self.target.parameters())\n"
        "    def forward(self, a):\n        with torch.no_grad():\n            return self.target(a)\n"
    )
    assert "evaluation-in-training-mode" not in found


@pytest.mark.parametrize(
    ("after", "stale"),
    [
        ("optimizer.step()", True),
        ("fit(model, optimizer)", True),
        ("watch = Watch(model, optimizer)\noptimizer = torch.optim.Adam(model.parameters())", True),
        ("optimizer = torch.optim.Adam(model.parameters())\noptimizer.step()", False),
        ("other = torch.optim.Adam([{'params': model[2].parameters()}])\nother.step()", False),
    ],
)
def test_an_optimizer_is_stale_that_is_used_after_the_change(after: str, stale: bool) -> None:
    text = "optimizer = torch.optim.Adam(model.parameters())\noptimizer.step()\nmodel[2] = nn.Linear(8, 5)\n"
    assert hits(text + after) == ["stale-optimizer"] * stale


@pytest.mark.parametrize(
    ("change", "stale"), [("self.model.head = Head()", True), ("self.criterion = Focal()", False)]
)
def test_an_attribute_beside_the_model_is_no_change_of_it(change: str, stale: bool) -> None:
    found = hits(
        "class Trainer:\n    def __init__(self, model):\n        self.model = model\n"
        f"        self.opt = torch.optim.Adam(self.model.parameters())\n        {change}\n"
        "    def step(self, loss):\n        self.opt.step()\n"
    )
    assert found == ["stale-optimizer"] * stale


@pytest.mark.parametrize(("made", "stale"), [("optimizer", False), ("other", True)])
def test_an_optimizer_may_be_made_anew_at_every_turn(made: str, stale: bool) -> None:
    found = hits(
        "optimizer = torch.optim.Adam(model.parameters())\nfor stage in stages:\n"
        f"    {made} = torch.optim.Adam(model.parameters())\n    fit(model, optimizer)\n"
        "    model[2] = nn.Linear(8, 5)\n"
    )
    assert ("stale-optimizer" in found) == stale


@pytest.mark.parametrize(("arguments", "stale"), [("x, y", True), ("x, y, optimizer", False)])
def test_a_function_uses_the_optimizer_of_the_script_or_one_that_it_is_given(
    arguments: str, stale: bool
) -> None:
    found = hits(
        f"def step({arguments}):\n    optimizer.step()\noptimizer = torch.optim.Adam(model.parameters())\n"
        "model[2] = nn.Linear(8, 5)\nother = torch.optim.Adam(model.parameters())\ntrain(step, other)\n"
    )
    assert ("stale-optimizer" in found) == stale


@pytest.mark.parametrize(
    ("schedule", "vanishes"),
    [
        ("StepLR(optimizer, step_size=2, gamma=0.1)", True),
        ("StepLR(optimizer, 30)", True),
        ("StepLR(optimizer, step_size=100, gamma=0.5)", False),
        ("StepLR(optimizer, every, gamma=0.5)", False),  # who knows
        ("ExponentialLR(optimizer, 0.85)", True),
        ("ExponentialLR(optimizer, decay)", False),
        ("ExponentialLR(optimizer, gamma=0.9995)", False),
        ("MultiStepLR(optimizer, [3, 6, 8])", True),
        ("MultiStepLR(optimizer, milestones=[1000, 2000], gamma=0.1)", False),
        ("CosineAnnealingLR(optimizer, T_max=epochs)", True),
        ("CosineAnnealingLR(optimizer, epochs * batches)", False),
        ("LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))", False),
    ],
)
def test_a_schedule_for_epochs_makes_the_rate_vanish(schedule: str, vanishes: bool) -> None:
    loop = (
        f"epochs = 6\nschedule = {schedule}\nfor epoch in range(epochs):\n    for x, y in loader:\n"
        "        optimizer.zero_grad()\n        loss_of(x, y).backward()\n        optimizer.step()\n"
    )
    assert hits(f"{loop}        schedule.step()\n") == ["learning-rate-vanished"] * vanishes
    assert not hits(f"{loop}    schedule.step()\n")


FORWARD = """
    class Net(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.body, self.head = nn.Linear(8, 8), nn.Linear(8, 4)
            self.body = net
            FREEZE

        def forward(self, x, other):
            LINES
"""
CUT = "with torch.no_grad(): z = self.body(x)\n            return self.head(z)"


@pytest.mark.parametrize(
    ("freeze", "lines", "cut"),
    [
        ("pass", CUT, True),
        ("self.body.requires_grad_(False)", CUT, False),
        ("self.body = net.eval().requires_grad_(False)", CUT, False),
        ("for p in self.body.parameters(): p.requires_grad = False", CUT, False),
        ("for p, q in zip(net.parameters(), self.body.parameters()): q.requires_grad = False", CUT, False),
        ("self.head.requires_grad_(False)", CUT, True),
        ("pass", "z = self.body(x)\n            return self.head(z.detach())", True),
        (
            "pass",
            "z = self.body(x)\n            z = z.detach().tanh()\n            return self.head(z)",
            True,
        ),
        (
            "pass",
            "z = self.body(x)\n            q = z.flatten(1)\n            return self.head(q.detach())",
            True,
        ),
        ("pass", "z = self.body(x)\n            return self.head(z.detach()), z", False),
        # Straight-through, and the losses beside it.
        (
            "pass",
            "z, q = self.body(x), self.head(x)\n            return q + (z - q).detach(), (q - z).abs()",
            False,
        ),
        ("pass", "z = self.body(x)\n            return F.mse_loss(self.body(other), z.detach())", False),
        (
            "pass",
            "with torch.no_grad(): self.mean.lerp_(x.mean(0), 0.1)\n            return self.body(x)",
            False,
        ),
    ],
)
def test_a_forward_pass_cuts_off_a_layer_that_should_learn(freeze: str, lines: str, cut: bool) -> None:
    assert hits(FORWARD.replace("FREEZE", freeze).replace("LINES", lines)) == ["no-gradient"] * cut


Q_LEARNING = """
    def main(policy, target_net, batches, optimizer, tau):
        target_net.load_state_dict(policy.state_dict())
        target_net.eval()
        for step, (s, r, n) in enumerate(batches):
            with torch.no_grad():
                wanted = r + 0.9 * target_net(n).max(1).values
            loss = F.mse_loss(policy(s).max(1).values, wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            UPDATE
"""


@pytest.mark.parametrize(
    ("update", "follows"),
    [
        ("if step % 25 == 0: target_net.load_state_dict(policy.state_dict())", True),
        ("for p, t in zip(policy.parameters(), target_net.parameters()): t.data.lerp_(p.data, tau)", True),
        ("soft_update(policy, target_net, tau)", True),
        ("target_net = copy.deepcopy(policy)", True),
        ("target_net.follow(policy)", True),
        ("pass", False),
        ("if step % 25 == 25: target_net.load_state_dict(policy.state_dict())", False),
        ("for p in target_net.parameters(): p.requires_grad = False", False),
        ("policy.load_state_dict(torch.load('best.pt'))", False),
    ],
)
def test_a_target_network_has_to_follow(update: str, follows: bool) -> None:
    assert ("target-not-updated" not in hits(Q_LEARNING.replace("UPDATE", update))) == follows


@pytest.mark.parametrize("called", [True, False])
def test_a_momentum_encoder_follows_where_its_method_is_called(called: bool) -> None:
    call = "self.update()" if called else "pass"
    found = hits(
        "class Byol(nn.Module):\n    def __init__(self, net):\n        super().__init__()\n"
        "        self.online, self.m = net, 0.99\n        self.target = copy.deepcopy(net)\n"
        "        for p in self.target.parameters():\n            p.requires_grad = False\n"
        "    def update(self):\n        for o, t in zip(self.online.parameters(), self.target.parameters()):\n"
        "            t.data = self.m * t.data + (1 - self.m) * o.data\n"
        f"    def forward(self, a, b):\n        {call}\n        return self.online(a), self.target(b)\n"
    )
    assert ("target-not-updated" not in found) == called


@pytest.mark.parametrize(
    ("answer", "doubled"),
    [
        ("self.head(h)", True),
        ("self.real(h), self.head(h)", True),
        ("shares", True),
        ("self.real((self.head(h) * h).sum(1))", False),
        ("(shares * h).sum(1)", False),
    ],
)
def test_a_softmax_that_weighs_is_no_answer(answer: str, doubled: bool) -> None:
    """Attention over instances ends in a softmax; a head of a network may not."""
    found = hits(
        "class Net(nn.Module):\n    def __init__(self):\n"
        "        self.head = nn.Sequential(nn.Linear(8, 4), nn.Softmax(dim=1))\n"
        "        self.real = nn.Linear(8, 1)\n"
        f"    def forward(self, h):\n        shares = self.head(h)\n        return {answer}\n"
        "net = Net()\nloss = F.cross_entropy(net(x), y)\n"
    )
    assert ("double-softmax" in found) == doubled


STEPS = """
    model = nn.Sequential(nn.Linear(8, 32), nn.Dropout(0.1), nn.Linear(32, 4))
    teacher, average = nn.Sequential(nn.Linear(8, 4), nn.Dropout(0.1)), Average(model)
    optimizer, other = torch.optim.Adam(model.parameters()), torch.optim.Adam(rival.parameters())
    for x, y in loader:
        optimizer.zero_grad()
        loss = loss_of(model, x, y)
        loss.backward()
        LINES
        optimizer.step()
"""


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("for p in model.parameters(): p.data += 0.1 * p.grad", "wrong-sign"),
        ("for p in model.parameters(): p.data += -0.1 * p.grad", None),
        ("for p in model.parameters(): total += p.grad.norm() ** 2", None),
        ("for n, p in model.named_parameters(): fisher[n] += p.grad.data ** 2", None),
        ("delta.data += 0.1 * delta.grad.sign()", None),  # an attack on the inputs
        ("(-loss_of(model, x, y)).backward()", "wrong-sign"),
        ("(-log_prob).backward()", None),
        ("elbo = -F.l1_loss(x, y) - kl; (-elbo).backward()", None),
        ("model.eval()", "training-in-evaluation-mode"),
        ("average.module.eval()", None),
        ("teacher.eval()", None),
        ("for layer in model: layer.eval()", None),
        ("model.zero_grad()", "no-gradient"),
        ("other.zero_grad()", None),
        ("rival.zero_grad()", None),
        ("losses.append(loss)", "graph-kept"),
        ("for part in x: losses.append(loss); total += loss", None),
        ("loss = F.kl_div(model(x).log_softmax(0), y); model(x).argmax(1)", "softmax-wrong-dimension"),
        ("loss = F.kl_div(model(x).log_softmax(0), y)", None),  # of one sample
        ("s = model(x).squeeze(1); F.kl_div(s.log_softmax(0), y); z.argmax(1)", None),  # of one list
        ("DataLoader(train_set, shuffle=False)", "data-not-shuffled"),
        ("DataLoader(train_set, shuffle=False, sampler=DistributedSampler(train_set))", None),
        ("DataLoader(train_set, shuffle=False); z, h = model(x, h)", None),  # in order of time
        ("z = y[torch.randperm(9)]; F.l1_loss(model(x), z)", "labels-unrelated"),
        ("y = x.sum(1); y = y[torch.randperm(9)]; F.l1_loss(model(x), y)", "labels-unrelated"),
        ("z = y[torch.randperm(9)]; F.l1_loss(model(x, z), y)", None),  # to compare with
        ("a = a[torch.randperm(9)]; F.l1_loss(model(a), a.sum(1))", None),  # holds both
    ],
)
def test_what_is_done_in_a_step_tells_by_whom_it_is_about(lines: str, told: str | None) -> None:
    assert hits(STEPS.replace("LINES", lines)) == [told] * (told is not None)


def test_a_hook_may_step_and_clear() -> None:
    text = "def hook(p):\n    opts[p].step()\n    CLEAR\nfor p in w:\n    p.register_post_accumulate_grad_hook(hook)\n"
    loop = "for x in data:\n    f(x).backward()\n    watch.step()\n"
    assert not hits(text.replace("CLEAR", "opts[p].zero_grad()") + loop)
    assert hits(text.replace("CLEAR", "pass") + loop) == ["missing-zero-grad"]


@pytest.mark.parametrize(
    ("forward", "scores", "doubled"),
    [
        ("return F.softmax(self.head(h), 1)", "net(x)", True),
        ("return F.softmax(self.head(h), 1)", "Wrap(net).to(device)(x).squeeze(1)", True),
        ("return self.head(h), F.softmax(self.head(h), 1)", "net(x)[1]", True),
        ("return self.head(h), F.softmax(self.head(h), 1)", "net(x)[0]", False),
        ("return self.head(h * self.gate(h))", "net(x)", False),  # of a part that weighs
        ("return self.gate(h)", "net(x)", True),
        ("return F.softmax(self.head(h), 1)", "classifier(x)", False),  # an actor beside it
    ],
)
def test_a_softmax_is_doubled_where_it_goes_into_the_loss(forward: str, scores: str, doubled: bool) -> None:
    found = hits(
        "class Gate(nn.Module):\n    def forward(self, h):\n        return torch.sigmoid(h)\n"
        "class Net(nn.Module):\n    def __init__(self):\n        self.head, self.gate = nn.Linear(8, 4), Gate()\n"
        f"    def forward(self, h):\n        {forward}\n"
        "def loss_of(outputs, y):\n    return F.cross_entropy(outputs, y)\n"
        f"net, classifier = Net(), nn.Linear(8, 4)\nloss = loss_of({scores}, y)\n"
    )
    assert found == ["double-softmax"] * doubled


@pytest.mark.parametrize(
    ("call", "asks_itself"),
    [
        ("self.attention(x, x, x)", True),
        ("self.attention(self.query(h), x, x)", True),
        ("self.attention(h, picture, picture)", False),  # of what has no future
        ("self.attention(x, h, picture)", True),
    ],
)
def test_attention_to_something_else_needs_no_mask(call: str, asks_itself: bool) -> None:
    text = (
        "class Net(nn.Module):\n    def __init__(self):\n        self.attention = nn.MultiheadAttention(8, 2)\n"
        f"    def forward(self, x, picture):\n        h, _ = self.rnn(x)\n        return {call}\n"
    )
    assert (rules.unmasked_attention(Tree(ast.parse(text))) is not None) == asks_itself
