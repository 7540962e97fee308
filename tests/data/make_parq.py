#!/usr/bin/env python3
"""Measures torchao's PARQ on small tensors and writes tests/data/parq/.

README.md beside this says with which versions. Nothing here computes what is
recorded but torch and torchao."""

import os

# Plain loops: no fused multiply-add, whatever the CPU.
os.environ["ATEN_CPU_CAPABILITY"] = "default"

import pathlib

import numpy as np
import torch
import torchao
from torchao.prototype import parq
from torchao.prototype.parq.optim.parq import normalized_mirror_sigmoid
from torchao.prototype.parq.quant.uniform import AsymUnifQuantizer
from torchao.prototype.parq.quant.uniform_torchao import (
    StretchedUnifTorchaoQuantizer,
)
from torchao.quantization import (
    IntxWeightOnlyConfig,
    MappingType,
    PerAxis,
    PerGroup,
    quantize_,
)
from torchao.quantization.quant_primitives import (
    ZeroPointDomain,
    choose_qparams_affine,
    dequantize_affine,
    quantize_affine,
)

from golden_file import GoldenFile

SEED = 24
OUT = pathlib.Path(__file__).parent / "parq"

torch.set_num_threads(1)
VERSIONS = {"torch": torch.__version__, "torchao": torchao.__version__,
            "seed": SEED, "cpu": torch.backends.cpu.get_cpu_capability()}
random = np.random.default_rng(SEED)


def normal(*shape, deviation=1.0):
    values = random.standard_normal(shape) * deviation
    return torch.from_numpy(values.astype(np.float32))


# Quantizers.

def inputs():
    usual = normal(2, 24, deviation=0.05)
    odd = normal(2, 24)
    odd[0, 5] = 40.0  # far from all others
    odd[1] = 0.375  # constant
    ties = torch.from_numpy(
        random.integers(-8, 9, (2, 24)).astype(np.float32) / 4)
    return torch.stack([usual, odd, ties])


def make_quantizer(name, arguments):
    arguments = dict(arguments)
    if name == "AsymUnifQuantizer":
        return AsymUnifQuantizer(**arguments)
    if name == "StretchedUnifTorchaoQuantizer":
        return StretchedUnifTorchaoQuantizer(**arguments)
    if name == "UnifTorchaoQuantizer" and "mapping_type" in arguments:
        arguments["mapping_type"] = MappingType[arguments["mapping_type"]]
        if not arguments.get("preserve_zero", True):
            arguments["zero_point_domain"] = ZeroPointDomain.INT
    return getattr(parq, name)(**arguments)


QUANTIZERS = [
    ("LSBQuantizer", {}, (0, 1, 2, 3)),
    ("LSBQuantizer", {"ternary_multiplier": 0.8}, (0,)),
    ("LSBQuantizer", {"center": True}, (2,)),
    ("LSBQuantizer", {"optimal": True}, (0, 2)),
    ("UnifQuantizer", {}, (2, 4)),
    ("UnifQuantizer", {"scale_method": "max"}, (2,)),
    ("UnifQuantizer", {"int_shift": 1.0, "zero_point": 0.0}, (2,)),
    ("UnifQuantizer", {"center": True}, (2,)),
    ("MaxUnifQuantizer", {}, (2, 3)),
    ("TernaryUnifQuantizer", {}, (0,)),
    ("TernaryUnifQuantizer", {"center": True}, (0,)),
    ("AsymUnifQuantizer", {}, (2,)),
    ("UnifTorchaoQuantizer", {}, (2, 4, 8)),
    ("UnifTorchaoQuantizer", {"mapping_type": "ASYMMETRIC"}, (2, 4)),
    ("UnifTorchaoQuantizer",
     {"mapping_type": "ASYMMETRIC", "preserve_zero": False}, (4,)),
    ("UnifTorchaoQuantizer",
     {"mapping_type": "SYMMETRIC_NO_CLIPPING_ERR"}, (2,)),
    ("Int4UnifTorchaoQuantizer", {}, (4,)),
    ("StretchedUnifTorchaoQuantizer", {"b": 1}, (1,)),
    ("StretchedUnifTorchaoQuantizer", {"b": 2}, (2,)),
    ("StretchedUnifTorchaoQuantizer", {"b": 3}, (3,)),
    ("StretchedUnifTorchaoQuantizer", {"b": 4}, (4,)),
]


def quantize(name, arguments, bits, granularity, p):
    """What is left of p, and its grids; None if torchao refuses it."""
    quantizer = make_quantizer(name, arguments)
    view = p if isinstance(granularity, str) else p.view(-1, granularity)
    dim = None if granularity == "tensor" else -1
    try:
        q, grids = quantizer.quantize(view.clone(), bits, dim=dim)
    except (AssertionError, RuntimeError):
        return None
    return q.reshape(p.shape), grids.reshape(-1 if dim is None else
                                             (view.shape[0], -1))


def granularities(name, bits):
    if bits == 8:  # 256 levels: one grid will do
        return ("tensor",)
    # Torch sums the three terms of a level by a matrix product, whose order is
    # the library's and CPU's.
    if name == "LSBQuantizer" and bits == 3:
        return ("tensor",)
    return ("tensor", "channel", 12) if bits in (0, 2) else ("tensor", 12)


def measure_quantizers():
    given = inputs()
    source = GoldenFile(kinds={"in/a": ["usual", "odd", "ties"]}, **VERSIONS)
    source.add("in/a", given)
    source.save(OUT / "inputs.safetensors")
    file = GoldenFile(**VERSIONS)
    count = 0
    for name, arguments, all_bits in QUANTIZERS:
        for bits in all_bits:
            for granularity in granularities(name, bits):
                results = [quantize(name, arguments, bits, granularity, p)
                           for p in given]
                some = next((r for r in results if r is not None), None)
                if some is None:
                    continue
                prefix = str(count)
                count += 1
                file.case(**{"class": name, "kwargs": arguments, "bits": bits,
                             "granularity": granularity, "input": "in/a",
                             "prefix": prefix})
                whole = [some if r is None else r for r in results]
                file.add(prefix + "/q", torch.stack([r[0] for r in whole]))
                file.add(prefix + "/Q", torch.stack([r[1] for r in whole]))
                file.add(prefix + "/ok", [r is not None for r in results],
                         np.uint8)
    file.save(OUT / "quantizers.safetensors")


# Proximal maps.

GRIDS = {
    "uneven": ([-1.5, -0.25, 0.125, 0.5, 2.0], False),
    "rows": ([[-3.0, -1.0, 1.0, 3.0], [-0.5, 0.0, 0.0, 0.75]], True),
}
MAPS = [
    ("hard", "ProxHardQuant", []),
    ("parq", "ProxPARQ", [3, 13]),
    ("steep", "ProxPARQ", [3, 13, 25.0, 0.3]),
    ("relax", "ProxBinaryRelax", [3, 13]),
]
STEPS = [0, 3, 8, 12, 13]


def measure_proximal_maps():
    file = GoldenFile(**VERSIONS)
    for grid_name, (levels, per_channel) in GRIDS.items():
        grid = torch.tensor(levels)
        rows = []
        for row in range(2):
            own = grid[row] if per_channel else grid
            middles = (own[:-1] + own[1:]) / 2
            p = torch.cat([own, middles, torch.tensor([0.0, -9.0, 9.0])])
            rows.append(torch.cat([p, normal(24 - p.numel())]))
        p = torch.stack(rows)
        # What the quantizer gave: any numbers show whether it is used.
        q = normal(2, 24)
        file.add(grid_name + "/Q", grid)
        file.add(grid_name + "/p", p)
        file.add(grid_name + "/q", q)
        for map_name, name, arguments in MAPS:
            for given in (False, True):
                prefix = f"{grid_name}/{map_name}/given{int(given)}"
                file.case(**{"class": name, "args": arguments,
                             "grid": grid_name, "per_channel": per_channel,
                             "prefix": prefix, "q_given": given})
                outs, slopes = [], []
                for step in STEPS:
                    out = p.clone()
                    slope = getattr(parq, name)(*arguments).apply_(
                        out, q.clone() if given else None, grid, step,
                        dim=-1 if per_channel else None)
                    outs.append(out)
                    slopes.append(np.nan if slope is None else slope)
                file.add(prefix + "/steps", STEPS, np.int64)
                file.add(prefix + "/out", torch.stack(outs))
                file.add(prefix + "/inv_slope", slopes, np.float64)
    schedules = [(t, start, end, steepness, center)
                 for start, end in ((0, 10), (7, 300))
                 for steepness, center in ((10.0, 0.5), (1.0, 0.5), (30.0, 0.2))
                 for t in np.linspace(start, end - 1, 6).astype(int).tolist()]
    file.add("schedule/args_t_start_end_steep_center", schedules, np.float64)
    file.add("schedule/inv_slope",
             [normalized_mirror_sigmoid(*s) for s in schedules], np.float64)
    file.save(OUT / "prox.safetensors")


# Steps of optimizers.

ALL = ["w1", "w2"]
RUNS = [
    dict(name="sgd_lsbq2_hard", base="SGD",
         base_kwargs={"lr": 0.05, "momentum": 0.9, "nesterov": True,
                      "weight_decay": 0.01},
         groups=[{"params": ALL, "quant_bits": 2}], prox="Hard", prox_args=[],
         quantizer=["LSBQuantizer", {}], quant_period=3),
    dict(name="adamw_stretched2_parq", base="AdamW",
         base_kwargs={"lr": 0.02, "weight_decay": 0.1},
         groups=[{"params": ALL, "quant_bits": 2, "quant_block_size": 8}],
         prox="PARQ", prox_args=[1, 5, 10.0], quant_per_channel=True,
         quantizer=["StretchedUnifTorchaoQuantizer", {"b": 2}], quant_period=1,
         anneal_wd_frac=0.5, cosine=True),
    dict(name="adam_unif3_relax", base="Adam",
         base_kwargs={"lr": 0.03, "betas": [0.8, 0.95], "eps": 1e-5,
                      "weight_decay": 0.05},
         groups=[{"params": ALL, "quant_bits": 3}], prox="BinaryRelax",
         prox_args=[2, 5], quant_per_channel=True,
         quantizer=["UnifQuantizer", {}], quant_period=2, warmup_steps=2),
    dict(name="sgd_ternary_shrink", base="SGD",
         base_kwargs={"lr": 0.4, "momentum": 0.5, "dampening": 0.25},
         groups=[{"params": ["w1"], "quant_bits": 0}], prox="PARQ",
         prox_args=[0, 5, 20.0], quant_per_channel=True, quant_shrink=True,
         quantizer=["TernaryUnifQuantizer", {}], quant_period=2),
    dict(name="adamw_two_groups", base="AdamW", base_kwargs={"lr": 0.02},
         groups=[{"params": ["w1"], "quant_bits": 1},
                 {"params": ["w2"], "quant_bits": 4, "lr": 0.01,
                  "weight_decay": 0.2}],
         group_quantizers={"1": ["UnifTorchaoQuantizer", {}]}, prox="Hard",
         prox_args=[], quant_per_channel=True,
         quantizer=["LSBQuantizer", {}], quant_period=4, warmup_steps=1),
]
PROX = {"Hard": parq.ProxHardQuant, "PARQ": parq.ProxPARQ,
        "BinaryRelax": parq.ProxBinaryRelax}
STEP_COUNT = 6
FIELDS = ("lr", "weight_decay", "cumu_lr", "inv_slope")


def make_optimizer(run, parameters):
    groups = []
    for group in run["groups"]:
        groups.append(dict(group, params=[parameters[n]
                                          for n in group["params"]]))
    taken = {n for group in run["groups"] for n in group["params"]}
    others = [p for n, p in parameters.items() if n not in taken]
    groups.append({"params": others, "weight_decay": 0.0})
    base = getattr(torch.optim, run["base"])(groups, foreach=False,
                                             **run["base_kwargs"])
    options = {key: run[key] for key in
               ("warmup_steps", "quant_period", "quant_per_channel",
                "quant_shrink", "anneal_wd_frac") if key in run}
    options["group_quantizer_map"] = {
        int(index): make_quantizer(*quantizer) for index, quantizer
        in run.get("group_quantizers", {}).items()}
    return parq.QuantOptimizer(base, make_quantizer(*run["quantizer"]),
                               PROX[run["prox"]](*run["prox_args"]), **options)


def record_run(file, run, start, steps, gradients_of):
    """Gives gradients_of(step, parameters) to each step."""
    file.case(**run)
    parameters = {n: torch.nn.Parameter(v.clone()) for n, v in start.items()}
    optimizer = make_optimizer(run, parameters)
    rates = [group["lr"] for group in optimizer.param_groups]
    quantized = [n for group in run["groups"] for n in group["params"]]
    params = {n: [] for n in parameters}
    latents = {n: [] for n in quantized}
    fields = {field: [] for field in FIELDS}
    counts = []
    for step in range(steps):
        for n, gradient in gradients_of(step, parameters).items():
            parameters[n].grad = gradient.clone()
        if run.get("cosine"):
            turn = np.pi * step / steps
            for rate, group in zip(rates, optimizer.param_groups):
                group["lr"] = rate * 0.5 * (1.0 + np.cos(turn))
        optimizer.step()
        for n, parameter in parameters.items():
            params[n].append(parameter.detach().clone())
        for n in quantized:
            latent = optimizer.state[parameters[n]].get("latent")
            latents[n].append(torch.full_like(start[n], torch.nan)
                              if latent is None else latent.clone())
        for field in FIELDS:
            fields[field].append([group.get(field, np.nan)
                                  for group in optimizer.param_groups])
        counts.append([optimizer.num_steps])
    name = run["name"]
    for n in parameters:
        file.add(f"{name}/param/{n}", torch.stack(params[n]))
    for n in quantized:
        file.add(f"{name}/latent/{n}", torch.stack(latents[n]))
    for field in FIELDS:
        file.add(f"{name}/group/{field}", fields[field], np.float64)
    file.add(f"{name}/group/num_steps", counts, np.float64)
    for n, parameter in parameters.items():
        for key, value in optimizer.state[parameter].items():
            if value is not None:
                file.add(f"{name}/final/{n}/{key}", value)


def measure_runs():
    file = GoldenFile(**VERSIONS)
    start = {"w1": normal(4, 16), "w2": normal(3, 8, deviation=0.2),
             "b": normal(4)}
    for n, value in start.items():
        file.add("init/" + n, value)
    gradients = {n: normal(STEP_COUNT, *value.shape, deviation=0.3)
                 for n, value in start.items()}
    for n, value in gradients.items():
        file.add("grad/" + n, value)
    for run in RUNS:
        record_run(file, run, start, STEP_COUNT,
                   lambda step, _: {n: g[step] for n, g in gradients.items()})
    file.save(OUT / "runs.safetensors")


def measure_training():
    """A network that learns, with gradients of autograd. By SGD: of the square
    roots that Adam needs, torch has one in thousands rounded otherwise."""
    steps = 12
    file = GoldenFile(model="relu(x w1^T + b1) w2^T + b2, mean of squares",
                      **VERSIONS)
    x = normal(16, 8)
    y = normal(16, 2)
    start = {"w1": normal(8, 8, deviation=0.4), "b1": normal(8, deviation=0.1),
             "w2": normal(2, 8, deviation=0.4), "b2": torch.zeros(2)}
    file.add("x", x)
    file.add("y", y)
    for n, value in start.items():
        file.add("init/" + n, value)
    run = dict(name="network", base="SGD",
               base_kwargs={"lr": 0.05, "momentum": 0.9,
                            "weight_decay": 0.01},
               groups=[{"params": ["w1", "w2"], "quant_bits": 2,
                        "quant_block_size": 8}],
               prox="PARQ", prox_args=[2, 10, 10.0], quant_per_channel=True,
               quantizer=["StretchedUnifTorchaoQuantizer", {"b": 2}],
               quant_period=1)
    losses = []
    gradients = {n: [] for n in start}

    def gradients_of(_, parameters):
        leaves = {n: p.detach().clone().requires_grad_()
                  for n, p in parameters.items()}
        hidden = torch.relu(x @ leaves["w1"].T + leaves["b1"])
        loss = (hidden @ leaves["w2"].T + leaves["b2"] - y).square().mean()
        loss.backward()
        losses.append(loss.item())
        for n, leaf in leaves.items():
            gradients[n].append(leaf.grad)
        return {n: leaf.grad for n, leaf in leaves.items()}

    record_run(file, run, start, steps, gradients_of)
    file.add("network/loss", losses, np.float64)
    for n, values in gradients.items():
        file.add("network/grad/" + n, torch.stack(values))
    file.save(OUT / "training.safetensors")


# Conversion.

def granularity_of(group):
    return PerAxis(0) if group == "axis" else PerGroup(group)


def stretched_config(bits, group, activations):
    most = 2 ** (bits - 1) - 0.5
    return parq.StretchedIntxWeightConfig(
        b=bits, quant_min=-most, quant_max=most,
        granularity=granularity_of(group),
        activation_quantization=activations)


def convert(w, bias, config):
    layer = torch.nn.Linear(w.shape[1], w.shape[0])
    layer.weight = torch.nn.Parameter(w.clone())
    layer.bias = torch.nn.Parameter(bias.clone())
    quantize_(layer, config)
    return layer.requires_grad_(False)


def add_integers(file, prefix, weight):
    file.add(prefix + "/qdata", weight.qdata)
    file.add(prefix + "/scale", weight.scale)
    file.add(prefix + "/zero_point", weight.zero_point)
    file.add(prefix + "/dequant", weight.dequantize())


def measure_conversion():
    file = GoldenFile(**VERSIONS)
    x = normal(4, 64)
    x[1] = x[1].abs()
    x[2] = 0.0
    bias = normal(3)
    weights = {"usual": normal(3, 64, deviation=0.05), "odd": normal(3, 64)}
    weights["odd"][0] = 0.0
    weights["odd"][1, 7] = 30.0
    file.add("x", x)
    file.add("bias", bias)
    for name, w in weights.items():
        file.add("w/" + name, w)
    for bits in (1, 2, 3, 4):
        for group in (32, "axis"):
            for name, w in weights.items():
                if name == "odd" and group == "axis":
                    continue
                prefix = f"stretched/b{bits}/{group}/{name}"
                file.case(config="StretchedIntxWeightConfig", bits=bits,
                          group=group, w=name, prefix=prefix)
                layer = convert(w, bias, stretched_config(bits, group, None))
                add_integers(file, prefix, layer.weight)
                file.add(prefix + "/y_module", layer(x))
                rounded = convert(w, bias, stretched_config(
                    bits, group, "int8_asym_per_token"))
                file.add(prefix + "/y_int8act", rounded(x))
    for bits in (2, 4, 8):
        for mapping in ("SYMMETRIC", "ASYMMETRIC"):
            for name, w in weights.items():
                if name == "odd" and bits != 4:
                    continue
                prefix = f"intx/b{bits}/{mapping.lower()}/{name}"
                file.case(config="IntxWeightOnlyConfig", bits=bits, group=32,
                          mapping=mapping, w=name, prefix=prefix)
                layer = convert(w, bias, IntxWeightOnlyConfig(
                    weight_dtype=getattr(torch, f"int{bits}"),
                    granularity=granularity_of(32),
                    mapping_type=MappingType[mapping]))
                add_integers(file, prefix, layer.weight)
                file.add(prefix + "/y_module", layer(x))
    for name, mapping, low in (
            ("asym", MappingType.ASYMMETRIC, -128),
            ("sym", MappingType.SYMMETRIC, -127),
            ("sym_full", MappingType.SYMMETRIC, -128)):
        block = (1, x.shape[1])
        scale, zero = choose_qparams_affine(
            x, mapping, block, target_dtype=torch.int8, quant_min=low,
            quant_max=127, zero_point_dtype=torch.int8)
        q = quantize_affine(x, block, scale, zero, output_dtype=torch.int8,
                            quant_min=low, quant_max=127)
        file.add(f"act/{name}/q", q)
        file.add(f"act/{name}/scale", scale)
        file.add(f"act/{name}/zero_point", zero)
        file.add(f"act/{name}/dequant", dequantize_affine(
            q, block, scale, zero, torch.int8, low, 127))
    # One step that leaves the weights where they are, on their grid.
    for bits, group in ((1, 32), (2, "axis"), (4, 32)):
        prefix = f"step/b{bits}"
        file.case(config="QuantOptimizer.torchao_convert", bits=bits,
                  group=group, activation_quantization="int8_asym_per_token",
                  prefix=prefix)
        model = torch.nn.Sequential(torch.nn.Linear(64, 3, bias=False))
        model[0].weight = torch.nn.Parameter(weights["usual"].clone())
        model[0].weight.grad = normal(3, 64)
        file.add(prefix + "/w_in", model[0].weight)
        groups = {"params": [model[0].weight], "quant_bits": bits}
        if group != "axis":
            groups["quant_block_size"] = group
        optimizer = parq.QuantOptimizer(
            torch.optim.SGD([groups], lr=0.0),
            StretchedUnifTorchaoQuantizer(b=bits), parq.ProxHardQuant(),
            quant_period=1, quant_per_channel=True)
        optimizer.step()
        file.add(prefix + "/param_after_step", model[0].weight)
        optimizer.torchao_convert(model)
        add_integers(file, prefix, model[0].weight)
    file.save(OUT / "convert.safetensors")


measure_quantizers()
measure_proximal_maps()
measure_runs()
measure_training()
measure_conversion()
