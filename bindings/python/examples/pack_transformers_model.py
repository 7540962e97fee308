"""Packs a folder of transformers and compares its logits with torch's.

pip install torch transformers; python pack_transformers_model.py FOLDER
"""

import sys

import numpy
import torch
import transformers

import lutra

folder = sys.argv[1]
lutra.import_model(folder, "model.safetensors")
report = lutra.pack("model.safetensors", "model4.safetensors", bits=4, group_size=32)

model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
random = numpy.random.default_rng(0)
ids = random.integers(model.config.vocab_size, size=64)
with torch.no_grad():
    expected = model(torch.from_numpy(ids)[None]).logits[0].numpy()


def logits(path):
    return lutra.LanguageModel(path, cache="float32").score(ids)


def agreement(actual):
    return 100 * (actual.argmax(1) == expected.argmax(1)).mean()


difference = numpy.abs(logits("model.safetensors") - expected).max()
assert difference < 1e-3, difference
packed = logits("model4.safetensors")
print(
    f"{folder}: largest difference of a logit to torch {difference:.1e}; packed, "
    f"{report.bits_per_weight:.2f} bits per weight, {agreement(packed):.0f} % of the "
    f"most probable tokens are the same, error "
    f"{numpy.square(packed - expected).mean() / expected.var():.1e} of the variance"
)
