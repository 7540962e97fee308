#!/usr/bin/env python3
"""Writes tests/data/torchao/: matrices that torchao quantized and saved, as
checkpoints of transformers have them, and the hashes of their rows as torchao
dequantizes them. README.md beside this says with which version."""

import json
import pathlib

import numpy as np
import torch
import torchao
from safetensors.torch import save_file
from torchao.core.config import config_to_dict
from torchao.prototype.parq import StretchedIntxWeightConfig
from torchao.prototype.safetensors.safetensors_support import (
    flatten_tensor_state_dict,
)
from torchao.quantization import (
    FqnToConfig,
    IntxWeightOnlyConfig,
    MappingType,
    PerAxis,
    PerGroup,
    quantize_,
)

from golden_file import GoldenFile, row_hashes

SEED = 28
OUT = pathlib.Path(__file__).parent / "torchao"
ROWS = 3
COLUMNS = 64

random = np.random.default_rng(SEED)


def stretched(bits, granularity):
    most = 2 ** (bits - 1) - 0.5
    return StretchedIntxWeightConfig(b=bits, quant_min=-most, quant_max=most,
                                     granularity=granularity)


def integers(bits, granularity, mapping):
    return IntxWeightOnlyConfig(weight_dtype=getattr(torch, f"int{bits}"),
                                granularity=granularity, mapping_type=mapping)


CONFIGS = {
    "stretched1": stretched(1, PerGroup(32)),
    "stretched2": stretched(2, PerGroup(32)),
    "stretched3": stretched(3, PerAxis(0)),
    "stretched4": stretched(4, PerGroup(16)),
    "symmetric2": integers(2, PerAxis(0), MappingType.SYMMETRIC),
    "symmetric4": integers(4, PerGroup(32), MappingType.SYMMETRIC),
    "asymmetric4": integers(4, PerGroup(32), MappingType.ASYMMETRIC),
    "symmetric8": integers(8, PerAxis(0), MappingType.SYMMETRIC),
}


def main():
    OUT.mkdir(exist_ok=True)
    truth = GoldenFile(torch=torch.__version__, torchao=torchao.__version__,
                       seed=SEED, weights_only=True)
    weights = {}
    for name, config in CONFIGS.items():
        layer = torch.nn.Linear(COLUMNS, ROWS, bias=False)
        values = random.standard_normal((ROWS, COLUMNS)) * 0.05
        layer.weight = torch.nn.Parameter(
            torch.from_numpy(values.astype(np.float32)))
        quantize_(layer, config)
        weights[name + ".weight"] = layer.weight
        truth.add(f"rows/{name}.weight",
                  row_hashes(layer.weight.dequantize().numpy()), np.uint32)
    tensors, metadata = flatten_tensor_state_dict(weights)
    save_file(tensors, OUT / "model.safetensors", metadata)
    config = {"quantization_config": {
        "quant_method": "torchao",
        "quant_type": {"default": config_to_dict(FqnToConfig(CONFIGS))}}}
    (OUT / "config.json").write_text(json.dumps(config) + "\n")
    truth.save(OUT / "dequantized.safetensors")


main()
