#!/usr/bin/env bash
# Makes docs/results_calibrated.md and its pictures: what language models lose at
# how many bits, packed with data and without, beside llama.cpp's types. Takes a
# quarter of an hour.
#
#   scripts/results_calibrated.sh [DATA [RESULTS...]]
#
# DATA      folder with the models and texts [../shared/data, or data/ in
#           LUTRA_TEST_DATA]
# RESULTS   folders of files that `lutra eval --text ... --json` has printed, each
#           for one way of packing a model that is called as the folder: shown, too
#
# The command is build/release/tools/lutra, or what LUTRA names.
set -euo pipefail
cd "$(dirname "$0")/.."

data=$(realpath "${1:-${LUTRA_TEST_DATA:-../shared}/data}")
lutra=$(realpath "${LUTRA:-build/release/tools/lutra}")
docs=$PWD/docs
results=()
for folder in "${@:2}"; do results+=("$(realpath "$folder")"); done
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cd "$out"

stories=$data/tinystories
embedding='op:embedding=bits:8,quantizer:absmax,group-size:32'
candidates=2:64,2:32,2:16,3:64,3:32,3:16,4:64,4:32,4:16
candidates+=,2:32:mse-asymmetric,3:32:mse-asymmetric,4:32:mse-asymmetric
candidates+=,8:32:absmax

# pack MODEL WAY LABEL OPTIONS...: a point of the way's line.
pack() {
  local model=$1 way=$2 label=$3
  echo "$model, $way: $label" >&2
  "$lutra" pack "$model.safetensors" -o "$model/$way/$label" \
    --scale-type two-level --rule "$embedding" "${@:4}" > /dev/null
}

# measure MODEL WAY: of all that is packed.
measure() {
  local model=$1 way=$2 labels=() files=() file
  for file in "$model/$way"/*; do
    labels+=(--label "$(basename "$file")")
    files+=("$file:float32")
  done
  "$lutra" eval --text "$stories/tinystories_val.txt" --bytes 65536 \
    --protocol llama -c 512 --cache float32 --reference "$model.safetensors" \
    --json "${labels[@]}" "${files[@]}" > "$model/$way.json"
}

# small MODEL BITS...: all ways, those with data for so many bits.
small() {
  local model=$1 bits file
  mkdir -p "$model/without data" "$model/with data" "$model/with data, tuned"
  for bits in 2 3 4 8; do
    pack "$model" "without data" "$bits bits" --bits "$bits" --group-size 32 \
      --quantizer "$([[ $bits == 8 ]] && echo absmax || echo mse-stretched)"
  done
  "$lutra" calibrate "$model.safetensors" --data stories.txt \
    -o "$model.statistics" > /dev/null
  for bits in "${@:2}"; do
    pack "$model" "with data" "budget of $bits" --quantizer mse-stretched \
      --data stories.txt --calibration "$model.statistics" --damping 0.05 \
      --target-bpw "$bits" --candidates "$candidates"
    file="$model/with data, tuned/budget of $bits"
    "$lutra" tune "$model/with data/budget of $bits" --steps 100 --lr 0.01 \
      --reference "$model.safetensors" --data "$stories/tiny_stories.txt" \
      -o "$file" > /dev/null
  done
  measure "$model" "without data"
  measure "$model" "with data"
  measure "$model" "with data, tuned"
}

# show MODEL FOLDER: the results of a folder, beside the peer's.
show() {
  local model=$1 files=("$2"/*.json) peer=$docs/results_llama_cpp/$1.json
  printf '\n## %s\n\n![%s](results_calibrated_%s.svg)\n\n' "$model" \
    "Divergence and perplexity against bits per weight" "$model"
  if [[ -e $peer ]]; then
    cp "$peer" "llama.cpp, importance matrix.json"
    files+=("llama.cpp, importance matrix.json")
  fi
  "$lutra" plot "${files[@]}" -o "$docs/results_calibrated_$model.svg" \
    --format markdown
}

main() {
  "$lutra" import "$data/stories260k/stories260K.bin" \
    --tokenizer "$data/stories260k/tok512.bin" -o stories260k.safetensors >&2
  "$lutra" import "$data/tinystories-656k" -o tinystories-656k.safetensors >&2
  head -c 200000 "$stories/tiny_stories.txt" > stories.txt

  cat <<'TEXT'
# Results of packing with data

Made by `scripts/results_calibrated.sh`; nothing here is typed in. Divergence (mean
Kullback-Leibler divergence from the float model, in nats) and perplexity are over the
first 65,536 bytes of a text that packing has not seen (`lutra eval --protocol llama
-c 512`), with float32 activations: what the weights alone lose. Bits per weight are
those of the whole file's matrices, the embedding (8 bits in groups of 32, also the
output matrix) and all scales, tables, sums and padding counted; scales are two-level.

* *without data*: `mse-stretched` in groups of 32 (8 bits: `absmax`).
* *with data*: bits and groups of each matrix chosen for a budget (`--target-bpw`),
  rounded layer by layer ([packing.md](packing.md#with-data)); 64 windows of 512 tokens.
* *tuned*: the same after 100 steps of `lutra tune` on all of the training text.
* *llama.cpp*: version 0.7.0 on the same models and texts, each type's best with an
  importance matrix, from `results_llama_cpp/`: made by `llama-quantize --imatrix` with the
  embedding as Q8_0, turned back (`F32`) and measured in the same way. Its types want rows of a multiple of 256
  weights, which these models do not have; they were measured on the same models with
  zeros around them, and count the true weights at the type's own rate. Such files do not
  exist: a bound for the type, not what a user gets. Matrices as small as these pay more in
  lutra's files, where every row has its sum and every matrix a header.

Larger models are measured beforehand ([packing.md](packing.md#what-it-gives) has the commands), and shown by the
script where it is given their results.
TEXT

  small stories260k 6 5.5 5.08 4.86 4.4
  show stories260k stories260k
  small tinystories-656k 6.7 6.12 5.97 5.48 5.26 5.02
  show tinystories-656k tinystories-656k
  local folder
  for folder in "${results[@]}"; do show "$(basename "$folder")" "$folder"; done
}

main > results.md
mv results.md "$docs/results_calibrated.md"
echo "docs/results_calibrated.md is new" >&2
