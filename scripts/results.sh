#!/usr/bin/env bash
# Makes docs/results.md: what packing costs in quality, and what it gives in size
# and speed, for two small language models and a keyword spotter, under every
# post-training quantizer. Takes some minutes.
#
#   scripts/results.sh [DATA]   folder with the models and texts [../shared/data,
#                             or data/ in LUTRA_TEST_DATA]
#
# The command is build/release/tools/lutra, or what LUTRA names.
set -euo pipefail
cd "$(dirname "$0")/.."

data=$(realpath "${1:-${LUTRA_TEST_DATA:-../shared}/data}")
lutra=$(realpath "${LUTRA:-build/release/tools/lutra}")
result=$PWD/docs/results.md
text=$data/tinystories/tinystories_val.txt
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cd "$out"  # so that tables show file names without folders

# Packs $1.safetensors in every way: bits, quantizer, columns of a group.
# Fills `models` and `labels` for the float model and all others.
pack_all() {
  local name=$1 bits quantizer group file
  models=("$name.safetensors")
  labels=(--label float)
  for bits in 8 4 3 2; do
    for quantizer in absmax mse stretched mse-stretched lsbq kmeans kmeans-row
    do
      group=32
      [[ $quantizer == lsbq ]] && group=row
      # Eight bits are plain integers: only these quantizers have them.
      [[ $bits == 8 && $quantizer != absmax && $quantizer != mse ]] && continue
      file=$name-$bits-$quantizer.safetensors
      echo "packing $name: $bits bits, $quantizer" >&2
      "$lutra" pack "$name.safetensors" -o "$file" --bits "$bits" \
        --group-size "$group" --quantizer "$quantizer" \
        --scale-type bfloat16 > /dev/null
      models+=("$file")
      labels+=(--label "$bits bits, $quantizer")
    done
  done
}

language_model() {
  local title=$1 name=$2
  pack_all "$name"
  printf '\n## %s\n\n' "$title"
  "$lutra" eval --text "$text" --bytes 65536 --threads 1 --activations int8 \
    --format markdown \
    "${labels[@]}" "${models[@]}"
  printf '\nGenerating 64 tokens after a prompt of 64 (`lutra bench`):\n\n'
  local fast=("$name.safetensors") bits
  for bits in 8 4 3 2; do fast+=("$name-$bits-mse.safetensors"); done
  fast+=("$name-2-kmeans-row.safetensors")
  "$lutra" bench -p 64 -n 64 -t 1 -r 5 --activations int8 --format markdown \
    "${fast[@]}"
}

main() {
  "$lutra" import "$data/stories260k/stories260K.bin" \
    --tokenizer "$data/stories260k/tok512.bin" \
    -o stories260k.safetensors >&2
  "$lutra" import "$data/tinystories-656k" \
    -o tinystories-656k.safetensors >&2
  "$lutra" import "$data/kws-mlperf-tiny" -o keywords.safetensors >&2

  cat <<'TEXT'
# Results of post-training quantization

Made by `scripts/results.sh`; nothing here is typed in. Float models are packed as
they are, without training or data ([packing.md](packing.md) has the quantizers);
groups of 32 columns with bfloat16 scales, for `lsbq` one scale per row. All
matrices are packed with the same bits, the embedding and the output included;
these models are so small that a single layer at 2 bits shows. Activations are
int8 with a scale for each token (`--activations int8`).

Perplexity is over the first 65,536 bytes of the validation text of TinyStories
(`lutra eval`), speed is on one thread of

TEXT
  "$lutra" cpu | sed -n 's/^/    /; 1,4p'

  language_model "stories260k" stories260k
  language_model "tinystories-656k" tinystories-656k

  pack_all keywords
  printf '\n## Keyword spotter (MLPerf Tiny), 1000 recordings\n\n'
  "$lutra" eval --data "$data/kws-mlperf-tiny/kws01" --activations int8 \
    --scale 0.5847029089927673 --zero-point 83 --threads 1 --time --batch 1 \
    --seconds 0.5 --format markdown "${labels[@]}" "${models[@]}"
}

main > results.md
mv results.md "$result"
echo "docs/results.md is new" >&2
