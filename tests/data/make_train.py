#!/usr/bin/env python3
"""Measures torch's operators, losses, optimizers and schedules on small tensors
and writes tests/data/train/.

Operands are float32, results and gradients float64 by autograd; optimizers run
in float32. README.md beside this says with which version."""

import os

os.environ["ATEN_CPU_CAPABILITY"] = "default"

import pathlib

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim.swa_utils import get_ema_avg_fn

from golden_file import GoldenFile

SEED = 25
OUT = pathlib.Path(__file__).parent / "train"

torch.set_num_threads(1)
VERSIONS = {"torch": torch.__version__, "seed": SEED,
            "cpu": torch.backends.cpu.get_cpu_capability()}
random = np.random.default_rng(SEED)


def normal(*shape, deviation=1.0):
    values = random.standard_normal(shape) * deviation
    return torch.from_numpy(values.astype(np.float32))


def integers(high, *shape):
    return torch.from_numpy(random.integers(0, high, shape))


# Operators and losses.

class Operators:
    def __init__(self):
        self.file = GoldenFile(**VERSIONS)
        self.counts = {}

    def measure(self, op, function, operands, attributes=None, others=(),
                loss=False):
        """function of the operands, in double precision. `others` are operands
        that are no inputs of the node; integers have no gradient."""
        number = self.counts.get(op, 0)
        self.counts[op] = number + 1
        prefix = f"{op}/{number}"
        leaves = {}
        gradients = []
        for name, value in operands.items():
            if value.is_floating_point():
                self.file.add(f"{prefix}/{name}", value)
                leaves[name] = value.double()
                if name not in others:
                    leaves[name].requires_grad_()
                    gradients.append("d" + name)
            else:
                self.file.add(f"{prefix}/{name}", value, np.int32)
                leaves[name] = value
        y = function(*leaves.values())
        if loss:
            y = y.reshape(1)
            y.backward()
        else:
            dy = normal(*y.shape)
            self.file.add(prefix + "/dy", dy)
            y.backward(dy.double())
        self.file.add(prefix + "/y", y)
        for name in gradients:
            self.file.add(f"{prefix}/{name}", leaves[name[1:]].grad)
        self.file.case(op=op, prefix=prefix, attributes=attributes or {},
                       inputs=[n for n in operands if n not in others],
                       gradients=gradients)


def padded(x, padding, value=0.0):
    """[M, H, W, C] as torch has images, with rows and columns around."""
    top, bottom, left, right = padding
    return F.pad(x.permute(0, 3, 1, 2), (left, right, top, bottom),
                 value=value)


def images(y):
    return y.permute(0, 2, 3, 1)


def windows(attributes):
    return (attributes.get("stride", [1, 1]),
            attributes.get("padding", [0, 0, 0, 0]),
            attributes.get("dilation", [1, 1]))


def conv2d(attributes):
    stride, padding, dilation = windows(attributes)
    kernel = attributes["kernel"]

    def run(x, weight, bias):
        taps = weight.view(weight.shape[0], *kernel, -1).permute(0, 3, 1, 2)
        return images(F.conv2d(padded(x, padding), taps, bias, stride,
                               dilation=dilation))
    return run


def depthwise_conv2d(attributes):
    stride, padding, dilation = windows(attributes)
    kernel = attributes["kernel"]

    def run(x, weight, bias):
        taps = weight.view(*kernel, 1, -1).permute(3, 2, 0, 1)
        return images(F.conv2d(padded(x, padding), taps, bias, stride,
                               dilation=dilation, groups=x.shape[3]))
    return run


def max_pool2d(attributes):
    stride, padding, _ = windows(attributes)
    return lambda x: images(F.max_pool2d(padded(x, padding, -torch.inf),
                                         attributes["kernel"], stride))


def avg_pool2d(attributes):
    stride, padding, _ = windows(attributes)

    def mean(x):
        return F.avg_pool2d(padded(x, padding), attributes["kernel"], stride)
    # Padding does not count.
    return lambda x: images(mean(x) / mean(torch.ones_like(x)))


def attention(heads, kv_heads, scale=None):
    def split(x, count):
        return x.view(x.shape[0], count, -1).transpose(0, 1)

    def run(q, k, v):
        y = F.scaled_dot_product_attention(
            split(q, heads), split(k, kv_heads), split(v, kv_heads),
            is_causal=True, scale=scale, enable_gqa=True)
        return y.transpose(0, 1).reshape(q.shape[0], -1)
    return run


def recurrent(cell, blocks):
    """Over the rows, from zeros; `gates` has what comes of the inputs."""
    def run(gates, weight, bias=None):
        size = weight.shape[1]
        inputs = torch.eye(blocks * size, dtype=torch.float64)
        h = c = torch.zeros(1, size, dtype=torch.float64)
        rows = []
        for row in gates.split(1):
            if cell is torch.lstm_cell:
                h, c = cell(row, (h, c), inputs, weight)
            else:
                zeros = torch.zeros(blocks * size, dtype=torch.float64)
                h = cell(row, h, inputs, weight, zeros, bias)
            rows.append(h)
        return torch.cat(rows)
    return run


def distillation(temperature, alpha):
    def run(x, teacher, targets):
        divergence = F.kl_div(F.log_softmax(x / temperature, -1),
                              F.log_softmax(teacher / temperature, -1),
                              reduction="batchmean", log_target=True)
        return (alpha * temperature ** 2 * divergence +
                (1 - alpha) * F.cross_entropy(x, targets))
    return run


def measure_operators():
    ops = Operators()
    ops.measure("linear", F.linear, {"x": normal(5, 7), "weight": normal(3, 7),
                                     "bias": normal(3)})
    ops.measure("embedding", lambda weight, ids: F.embedding(ids, weight),
                {"weight": normal(6, 4), "ids": torch.tensor([2, 0, 2, 5, 2])})
    plain = {"kernel": [3, 3], "padding": [1, 1, 1, 1]}
    uneven = {"kernel": [3, 2], "stride": [1, 2], "padding": [2, 2, 1, 0],
              "dilation": [2, 3]}
    for attributes in (plain, uneven):
        taps = attributes["kernel"][0] * attributes["kernel"][1]
        ops.measure("conv2d", conv2d(attributes),
                    {"x": normal(2, 5, 6, 3), "weight": normal(4, taps * 3),
                     "bias": normal(4)}, attributes)
        ops.measure("depthwise_conv2d", depthwise_conv2d(attributes),
                    {"x": normal(2, 5, 6, 3), "weight": normal(taps, 3),
                     "bias": normal(3)}, attributes)
    pool = {"kernel": [3, 2], "stride": [2, 2], "padding": [1, 0, 0, 1]}
    ops.measure("max_pool2d", max_pool2d(pool), {"x": normal(2, 5, 5, 3)}, pool)
    ops.measure("avg_pool2d", avg_pool2d(pool), {"x": normal(2, 5, 5, 3)}, pool)
    ops.measure("rms_norm", lambda x, weight: F.rms_norm(x, (12,), weight,
                                                         1e-5),
                {"x": normal(4, 12), "weight": normal(12)}, {"eps": 1e-5})
    ops.measure("layer_norm", lambda x, weight, bias: F.layer_norm(
                    x, (12,), weight, bias, 1e-5),
                {"x": normal(4, 12), "weight": normal(12), "bias": normal(12)},
                {"eps": 1e-5})
    for attributes in ({"heads": 4, "kv_heads": 2},
                       {"heads": 3, "kv_heads": 3, "scale": 0.3}):
        kv = attributes["kv_heads"] * 4
        ops.measure("attention", attention(**attributes),
                    {"q": normal(7, attributes["heads"] * 4),
                     "k": normal(7, kv), "v": normal(7, kv)}, attributes)
    ops.measure("lstm_cell", recurrent(torch.lstm_cell, 4),
                {"gates": normal(6, 20), "weight": normal(20, 5)},
                {"gates": "ifgo"})
    ops.measure("gru_cell", recurrent(torch.gru_cell, 3),
                {"gates": normal(6, 15), "weight": normal(15, 5),
                 "bias": normal(15)}, {"gates": "rzn", "reset": "after"})
    for op, function in (
            ("relu", F.relu), ("gelu", F.gelu), ("silu", F.silu),
            ("gelu_tanh", lambda x: F.gelu(x, approximate="tanh")),
            ("sigmoid", torch.sigmoid), ("tanh", torch.tanh)):
        x = normal(3, 8, deviation=3.0)
        x[0, :4] = torch.tensor([0.0, 1e-30, -90.0, 90.0])
        ops.measure(op, function, {"x": x})
    ops.measure("add", torch.add, {"a": normal(3, 5), "b": normal(3, 5)})
    ops.measure("mul", torch.mul, {"a": normal(3, 5), "b": normal(3, 5)})
    ops.measure("softmax", lambda x: F.softmax(x, -1),
                {"x": normal(3, 9, deviation=4.0)})
    targets = integers(11, 6)
    ignoring = targets.clone()
    ignoring[2] = -100
    for smoothing, reduction in ((0.0, "mean"), (0.1, "mean"), (0.2, "sum")):
        ops.measure("cross_entropy", lambda x, targets: F.cross_entropy(
                        x, targets, label_smoothing=smoothing,
                        reduction=reduction),
                    {"x": normal(6, 11, deviation=2.0), "targets": ignoring},
                    {"ignore_index": -100, "label_smoothing": smoothing,
                     "reduction": reduction}, loss=True)
    ops.measure("linear_cross_entropy", lambda x, weight, targets:
                F.cross_entropy(F.linear(x, weight), targets),
                {"x": normal(6, 5), "weight": normal(11, 5),
                 "targets": ignoring}, {"ignore_index": -100}, loss=True)
    ops.measure("mean_squared_error", F.mse_loss,
                {"x": normal(4, 6), "target": normal(4, 6)}, loss=True)
    for temperature, alpha in ((1.0, 1.0), (2.0, 0.75)):
        ops.measure("distillation", distillation(temperature, alpha),
                    {"x": normal(6, 11), "teacher": normal(6, 11),
                     "targets": targets},
                    {"temperature": temperature, "alpha": alpha},
                    others=("teacher",), loss=True)
    ops.file.save(OUT / "ops.safetensors")


# Optimizers.

GROUPS = [{"params": ["w1"], "weight_decay": 0.1},
          {"params": ["w2"], "lr": "half of the case's", "weight_decay": 0.01},
          {"params": ["b"], "weight_decay": 0.0}]
RUNS = [
    dict(name="sgd_nesterov", cls="SGD", lr=0.05, wd=True,
         kw={"momentum": 0.9, "nesterov": True}),
    dict(name="adam_l2", cls="Adam", lr=0.02, wd=True),
    dict(name="adamw", cls="AdamW", lr=0.02, wd=True),
    dict(name="adamw_betas", cls="AdamW", lr=0.01, wd=True,
         kw={"betas": [0.8, 0.95], "eps": 1e-4}),
    dict(name="adamw_clip_accumulate", cls="AdamW", lr=0.02, wd=True, acc=2,
         clip=0.7),
    dict(name="sgd_average", cls="SGD", lr=0.1, kw={"momentum": 0.9},
         ema=0.9),
]
STEPS = 8


def measure_run(file, run, start, gradients):
    parameters = {n: torch.nn.Parameter(v.clone()) for n, v in start.items()}
    groups = []
    for group in GROUPS:
        groups.append({
            "params": [parameters[n] for n in group["params"]],
            "lr": run["lr"] / 2 if "lr" in group else run["lr"],
            "weight_decay": group["weight_decay"] if run.get("wd") else 0.0})
    optimizer = getattr(torch.optim, run["cls"])(groups, foreach=False,
                                                 **run.get("kw", {}))
    average = get_ema_avg_fn(run["ema"]) if "ema" in run else None
    parts = run.get("acc", 1)
    rates, norms = [], []
    values = {n: [] for n in parameters}
    averages = {n: [] for n in parameters}
    for step in range(STEPS):
        for n, parameter in parameters.items():
            parameter.grad = torch.zeros_like(parameter)
            for part in range(parts):
                parameter.grad += gradients[n][step * parts + part] / parts
        if "clip" in run:
            norms.append(torch.nn.utils.clip_grad_norm_(
                parameters.values(), run["clip"], foreach=False).item())
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        for n, parameter in parameters.items():
            value = parameter.detach().clone()
            values[n].append(value)
            if average is not None:
                averages[n].append(value if step == 0 else
                                   average(averages[n][-1], value, step))
    name = run["name"]
    file.case(**run)
    for n in parameters:
        file.add(f"{name}/param/{n}", torch.stack(values[n]))
        if average is not None:
            file.add(f"{name}/ema/{n}", torch.stack(averages[n]))
    file.add(name + "/lr", rates, np.float64)
    if norms:
        file.add(name + "/norm", norms, np.float64)


def factors(make, steps):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = make(optimizer)
    result = []
    for _ in range(steps):
        result.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return result


def measure_optimizers():
    file = GoldenFile(groups=GROUPS, **VERSIONS)
    start = {"w1": normal(3, 6), "w2": normal(2, 5), "b": normal(4)}
    gradients = {n: normal(2 * STEPS, *v.shape, deviation=0.4)
                 for n, v in start.items()}
    for n, value in start.items():
        file.add("init/" + n, value)
        file.add("grad/" + n, gradients[n])
    for run in RUNS:
        measure_run(file, run, start, gradients)
    schedules = torch.optim.lr_scheduler
    file.add("schedule/torch_cosine_T20_min0.05", factors(
        lambda o: schedules.CosineAnnealingLR(o, 20, 0.05), 20), np.float64)
    file.add("schedule/torch_linear5_then_cosine15", factors(
        lambda o: schedules.SequentialLR(
            o, [schedules.LinearLR(o, 0.1, total_iters=5),
                schedules.CosineAnnealingLR(o, 15)], [5]), 20), np.float64)
    file.add("schedule/linear_warmup0_total20", factors(
        lambda o: schedules.PolynomialLR(o, 20), 20), np.float64)
    file.save(OUT / "optim.safetensors")


measure_operators()
measure_optimizers()
