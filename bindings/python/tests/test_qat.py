"""PARQ around numpy arrays, and around optimizers of torch where it is there."""

import json
import math

import numpy
import pytest

import lutra
from conftest import read_safetensors
from lutra import qat

PROX = {"Hard": qat.ProxHardQuant, "PARQ": qat.ProxPARQ, "BinaryRelax": qat.ProxBinaryRelax}
OPTIONS = ("warmup_steps", "quant_period", "quant_shrink", "quant_per_channel", "anneal_wd_frac")


def quantizer_of(spec):
    name, options = spec
    return getattr(qat, name)(**options)


def test_quantizers_give_the_recorded_levels(test_data):
    _, inputs = read_safetensors(test_data("golden/parq/inputs.safetensors"))
    _, golden = read_safetensors(test_data("golden/parq/quant_stretched.safetensors"))
    for bits in (1, 2, 3, 4):
        for values, q, grid in zip(
            inputs["in/a"], golden[f"stretched_b{bits}/a/channel/q"],
            golden[f"stretched_b{bits}/a/channel/Q"],
        ):
            own = qat.StretchedUnifTorchaoQuantizer(bits).quantize(values, bits, per_row=True)
            numpy.testing.assert_array_equal(own[0], q)
            numpy.testing.assert_array_equal(own[1], grid)


def test_trajectories_are_those_of_torchao(test_data):
    metadata, golden = read_safetensors(test_data("golden/parq/trajectories.safetensors"))
    for case in json.loads(metadata["golden"])["cases"]:
        if case["quantizer"][1].get("optimal"):
            continue  # grids of torchao have flaws that lutra's lack (docs/qat.md)
        maps = PROX[case["prox"]](*case["prox_args"])
        default = quantizer_of(case["quantizer"])
        own = {int(i): quantizer_of(q) for i, q in case.get("group_quantizers", {}).items()}
        names = [n[5:] for n in golden if n.startswith("init/")]
        parameters = {n: qat.Parameter(golden["init/" + n].copy()) for n in names}
        quantized = [n for group in case["groups"] for n in group["params"]]
        groups = [{**g, "params": [parameters[n] for n in g["params"]]} for g in case["groups"]]
        rest = [parameters[n] for n in names if n not in quantized]
        groups.append({"params": rest, "weight_decay": 0.0})
        base = getattr(qat, case["base"])(groups, **case["base_kwargs"])
        options = {name: case[name] for name in OPTIONS if name in case}
        optimizer = qat.QuantOptimizer(base, default, maps, group_quantizer_map=own, **options)
        steps = len(golden[f"grad/{names[0]}"])
        start = [group["lr"] for group in base.param_groups]
        for step in range(steps):
            if case.get("cosine"):
                for group, lr in zip(base.param_groups, start):
                    group["lr"] = lr * 0.5 * (1 + math.cos(math.pi * step / steps))
            for name, parameter in parameters.items():
                parameter.grad = golden[f"grad/{name}"][step]
            optimizer.step()
            for name, parameter in parameters.items():
                expected = golden[f"{case['name']}/param/{name}"][step]
                far = numpy.abs(parameter.data - expected) > 1e-5 * max(1, numpy.abs(expected).max())
                assert far.mean() <= 0.001, (case["name"], name, step)
        assert optimizer.num_steps == steps


def test_arrays_of_the_caller_are_changed_in_place():
    weight = numpy.random.default_rng(1).normal(size=(4, 8)).astype("float32")
    before = weight.copy()
    base = qat.SGD([{"params": [weight], "quant_bits": 2}], lr=0.1)
    parameter = base.param_groups[0]["params"][0]
    optimizer = qat.QuantOptimizer(base, qat.LSBQuantizer(), qat.ProxHardQuant(), quant_per_channel=True)
    parameter.grad = numpy.ones((4, 8), "float32")
    optimizer.step()
    assert parameter.data is weight
    assert all(len(numpy.unique(row)) <= 4 for row in weight)
    latent = optimizer.state[parameter]["latent"]
    numpy.testing.assert_allclose(latent.reshape(4, 8), before - 0.1, rtol=1e-6)
    optimizer.restore_latent_params()
    numpy.testing.assert_array_equal(weight, latent.reshape(4, 8))
    assert optimizer.schemes([("fc1.weight", parameter)]) == {
        "fc1.weight": {"quantizer": "lsbq", "bits": 2, "group_size": 0}
    }


@pytest.mark.parametrize(
    "weight, words",
    [
        (numpy.zeros((4, 8)), "contiguous array of float32"),
        (numpy.zeros((8, 4), "float32").T, "contiguous"),
        (numpy.broadcast_to(numpy.float32(1), (4, 8)), "writable"),
        ([[1.0]], "float32"),
    ],
)
def test_other_arrays_are_refused(weight, words):
    with pytest.raises(TypeError, match=words):
        qat.AdamW([{"params": [weight], "quant_bits": 2}])


def test_wrong_options_are_refused():
    def make(quantizer=None, group=None, **options):
        group = {"params": [numpy.zeros((4, 8), "float32")], "quant_bits": 2, **(group or {})}
        return qat.QuantOptimizer(
            qat.SGD([group]), quantizer or qat.LSBQuantizer(), qat.ProxHardQuant(), **options
        )

    for options in (
        {"anneal_wd_frac": 2.0}, {"quant_period": 0}, {"warmup_steps": -1},
        {"group": {"quant_block_size": 3}}, {"group": {"quant_bits": 12}},
    ):
        with pytest.raises(lutra.InvalidArgumentError):
            make(**options)
    with pytest.raises(TypeError, match="Quantizer"):
        make(quantizer="stretched")
    with pytest.raises(lutra.Error):
        qat.ProxPARQ(5, 5)
    optimizer = make()
    optimizer.param_groups[0]["params"].append(qat.Parameter(numpy.zeros(3, "float32")))
    with pytest.raises(lutra.Error, match="other parameters"):
        optimizer.step()


def test_what_the_base_optimizer_raises_comes_through():
    weight = qat.Parameter(numpy.zeros((4, 8), "float32"))
    base = qat.SGD([{"params": [weight], "quant_bits": 2}])
    optimizer = qat.QuantOptimizer(base, qat.LSBQuantizer(), qat.ProxHardQuant())
    weight.grad = numpy.zeros((3, 8), "float32")
    with pytest.raises(lutra.Error, match="gradient"):
        optimizer.step()


def test_torch_trains_as_with_torchao():
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("torchao.prototype.parq.optim")
    quant = pytest.importorskip("torchao.prototype.parq.quant")

    def train(wrapper, resume_at=None, steps=12):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(32, 48), torch.nn.ReLU(), torch.nn.Linear(48, 10))
        weights = [p for p in net.parameters() if p.dim() == 2]
        biases = [p for p in net.parameters() if p.dim() == 1]

        def make():
            groups = [
                {"params": weights, "quant_bits": 2, "quant_block_size": 16},
                {"params": biases, "weight_decay": 0.0},
            ]
            base = torch.optim.AdamW(groups, lr=0.01)
            return wrapper(
                base, quant.StretchedUnifTorchaoQuantizer(b=2), theirs.ProxPARQ(2, 10),
                quant_per_channel=True, quant_period=2,
            )

        optimizer = make()
        random = torch.Generator().manual_seed(1)
        for step in range(steps):
            if step == resume_at:
                state = optimizer.state_dict()
                optimizer = make()
                optimizer.load_state_dict(state)
            x = torch.randn(16, 32, generator=random)
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()
        assert isinstance(optimizer, torch.optim.Optimizer)
        torch.optim.lr_scheduler.StepLR(optimizer, 1).step()
        return [p.detach() for p in net.parameters()]

    expected = train(theirs.QuantOptimizer)
    for own in (train(qat.QuantOptimizer), train(qat.QuantOptimizer, resume_at=5)):
        assert all(torch.equal(a, b) for a, b in zip(own, expected))
