"""From a torch module, trained with PARQ of torchao, to a packed file.

pip install torch torchao; python pack_torch_module.py
"""

import numpy
import torch
from torchao.prototype.parq.optim import ProxPARQ, QuantOptimizer
from torchao.prototype.parq.quant import StretchedUnifTorchaoQuantizer

import lutra


def train():
    """Two layers with 2-bit weights, in groups of 32, that learn a random task."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(64, 96), torch.nn.ReLU(), torch.nn.Linear(96, 10)
    )
    weights = [net[0].weight, net[2].weight]
    others = [net[0].bias, net[2].bias]
    optimizer = QuantOptimizer(
        torch.optim.AdamW(
            [{"params": weights, "quant_bits": 2, "quant_block_size": 32}, {"params": others}],
            lr=0.01,
        ),
        StretchedUnifTorchaoQuantizer(b=2),
        ProxPARQ(anneal_start=20, anneal_end=150),
        quant_period=1,
        quant_per_channel=True,
    )
    x, labels = torch.randn(256, 64), torch.randint(10, (256,))
    for _ in range(200):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), labels).backward()
        optimizer.step()
    return net, x


net, x = train()

# The ten lines.
graph = {
    "inputs": [{"name": "x", "type": "float32", "shape": [64]}],
    "nodes": [{"op": "linear", "inputs": ["x"], "output": "a", "weight": "0.weight", "bias": "0.bias"},
              {"op": "relu", "inputs": ["a"], "output": "b"},
              {"op": "linear", "inputs": ["b"], "output": "y", "weight": "2.weight", "bias": "2.bias"}],
    "outputs": ["y"]}
scheme = {"quantizer": "stretched", "bits": 2, "group_size": 32}
schemes = {"0.weight": scheme, "2.weight": scheme}
lutra.write_model("trained.safetensors", graph, net.state_dict(), schemes=schemes)
report = lutra.pack("trained.safetensors", "packed.safetensors")

# It is the same network, in 2 bits.
assert all(w.method == "trained" and w.max_error == 0 for w in report.weights)
with torch.no_grad():
    expected = net(x).numpy()
actual = lutra.Session("packed.safetensors", activations="float32").run(x)
difference = numpy.abs(actual - expected).max()
assert difference < 1e-4 * numpy.abs(expected).max(), difference
quick = lutra.Session("packed.safetensors").run(x)
agree = (quick.argmax(1) == expected.argmax(1)).mean()
print(
    f"packed.safetensors: {report.bits_per_weight:.2f} bits per weight, largest "
    f"difference to torch {difference:.1e}; with int8 activations {100 * agree:.1f} % "
    f"of the classes are the same"
)
