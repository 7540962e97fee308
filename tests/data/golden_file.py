"""Writes files that golden_replay reads: safetensors whose metadata has a JSON
text, "golden", with the cases."""

import json

import numpy as np
from safetensors.numpy import save_file


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
