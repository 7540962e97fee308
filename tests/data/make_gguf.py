#!/usr/bin/env python3
"""Writes tests/data/gguf/: a GGUF file of random blocks of each type that gguf
can decode and lutra can hold, and the hashes of their rows as gguf decodes
them. README.md beside this says with which version."""

import importlib.metadata
import pathlib

import gguf
import numpy as np
from gguf.quants import dequantize

from golden_file import GoldenFile, row_hashes

SEED = 26
OUT = pathlib.Path(__file__).parent / "gguf"
ROWS = 2
COLUMNS = 512

# Where blocks have float16 scales: random bits there would often be no number.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
          "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2],
          "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0],
          "TQ1_0": [52], "TQ2_0": [64]}
# Where they have scales of a byte, and what these may be.
BYTES = {"MXFP4": (range(1), (110, 130)), "NVFP4": (range(4), (1, 0x7f))}

random = np.random.default_rng(SEED)


def random_blocks(kind):
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    count = ROWS * COLUMNS // elements
    blocks = random.integers(0, 256, (count, size)).astype(np.uint8)
    for at in HALVES.get(kind.name, []):
        scales = random.uniform(-0.1, 0.1, count).astype("<f2")
        blocks[:, at:at + 2] = scales.view(np.uint8).reshape(count, 2)
    if kind.name in BYTES:
        places, bounds = BYTES[kind.name]
        for at in places:
            blocks[:, at] = random.integers(*bounds, count)
    return blocks.reshape(ROWS, -1)


def main():
    OUT.mkdir(exist_ok=True)
    writer = gguf.GGUFWriter(OUT / "model.gguf", "llama")
    truth = GoldenFile(gguf=importlib.metadata.version("gguf"), seed=SEED,
                       weights_only=True)
    types = [gguf.GGMLQuantizationType[n] for n in [*HALVES, *BYTES]]
    for kind in types:
        blocks = random_blocks(kind)
        writer.add_tensor(kind.name, blocks, raw_dtype=kind)
        values = dequantize(blocks, kind)
        assert values.shape == (ROWS, COLUMNS) and np.isfinite(values).all()
        truth.add("rows/" + kind.name, row_hashes(values), np.uint32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    truth.save(OUT / "dequantized.safetensors")


main()
