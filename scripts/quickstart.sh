#!/usr/bin/env bash
# From a bare machine to a 2-bit network at work: installs what is missing,
# builds, trains on Fashion-MNIST in float and then with 2-bit weights, packs,
# inspects, evaluates and measures. Results are in build/quickstart.
set -euo pipefail
cd "$(dirname "$0")/.."

data=/usr/share/datasets/fashion-mnist
out=build/quickstart
lutra=build/release/tools/lutra

step() { printf '\n== %s\n' "$*"; }
# Prints a command as it could be typed, then runs it.
run() {
  printf '$'
  for word in "$@"; do
    if [[ "$word" == *' '* ]]; then printf " '%s'" "$word"; else printf ' %s' "$word"; fi
  done
  printf '\n'
  "$@"
}

step "Packages and build"
scripts/setup.sh
cmake --preset release -DLUTRA_BUILD_TESTS=OFF -DLUTRA_BUILD_BENCH=OFF
cmake --build --preset release
mkdir -p "$out"

step "Train in float"
run "$lutra" train --data "$data" --hidden 256,128 -o "$out/float.safetensors"

step "Continue with 2-bit weights (PARQ)"
run "$lutra" train --data "$data" --init "$out/float.safetensors" \
  --bits 2 -o "$out/qat.safetensors"

step "Pack: the trained weights without loss, and the float ones for comparison"
run "$lutra" pack "$out/qat.safetensors" -o "$out/packed.safetensors"
run "$lutra" pack "$out/float.safetensors" --bits 2 --group-size row \
  -o "$out/post-training.safetensors"

step "Inspect"
run "$lutra" inspect "$out/packed.safetensors"

step "Measure latency"
run "$lutra" bench "$out/packed.safetensors" --batch 1,64 --threads 1,2

step "Evaluate on the 10,000 test images"
run "$lutra" eval --data "$data" --time --threads 1 --batch 1,64 \
  --reference "2-bit QAT, before packing" \
  --label "float32" "$out/float.safetensors" \
  --label "2-bit, post-training" "$out/post-training.safetensors:float32" \
  --label "2-bit QAT, before packing" "$out/qat.safetensors" \
  --label "2-bit QAT, packed, int8 activations" "$out/packed.safetensors:int8" \
  --label "2-bit QAT, packed, float activations" \
  "$out/packed.safetensors:float32"
