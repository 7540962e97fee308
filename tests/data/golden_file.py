"""Writes files that golden_replay reads: safetensors whose metadata has a JSON
text, "golden", with the cases."""

import json

import numpy as np
from safetensors.numpy import save_file


def row_hashes(values):
    """FNV-1a of 32 bits of each row, of the bytes of its float32; -0 is 0."""
    hashes = []
    for row in values:
        value = 0x811C9DC5
        for byte in (row + np.float32(0)).astype("<f4").tobytes():
            value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
        hashes.append(value)
    return hashes


class GoldenFile:
    def __init__(self, **description):
        self.description = description
        self.tensors = {}

    def add(self, name, values, dtype=None):
        """Values of torch or numpy; a copy is kept."""
        if hasattr(values, "detach"):
            values = values.detach().numpy()
        array = np.array(values, dtype=dtype, order="C")
        assert name not in self.tensors, name
        self.tensors[name] = array

    def case(self, **case):
        self.description.setdefault("cases", []).append(case)

    def save(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.description, sort_keys=True,
                          separators=(",", ":"))
        save_file(self.tensors, path, {"golden": text})
        print(f"{path.stat().st_size:7} bytes {path.name}")
