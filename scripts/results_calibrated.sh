#!/usr/bin/env bash
# Makes docs/results_calibrated.md: what packing with data gives, on two small
# language models, and on others that are named. Takes some minutes.
#
#   scripts/results_calibrated.sh [DATA [MODEL TEXT CALIBRATION]]
#
# DATA        folder with the models and texts [../shared/data, or data/ in
#             LUTRA_TEST_DATA]
# MODEL       a larger model of lutra's (takes an hour and more), evaluated on
#             the first 64 KiB of TEXT, calibrated on CALIBRATION
#
# The command is build/release/tools/lutra, or what LUTRA names.
set -euo pipefail
cd "$(dirname "$0")/.."

data=$(realpath "${1:-${LUTRA_TEST_DATA:-../shared}/data}")
lutra=$(realpath "${LUTRA:-build/release/tools/lutra}")
result=$PWD/docs/results_calibrated.md
more=()
for file in "${@:2}"; do more+=("$(realpath "$file")"); done
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cd "$out"  # so that tables show file names without folders

embedding=(--rule 'op:embedding=bits:8,quantizer:absmax,group-size:32')
rotation=(--rule 'rotation=bits:8,quantizer:absmax,group-size:32')

# pack LABEL FILE MODEL OPTIONS...: one row of the table.
pack() {
  local label=$1 file=$2 model=$3
  shift 3
  echo "packing: $label" >&2
  "$lutra" pack "$model" -o "$file" --scale-type float16 "${embedding[@]}" \
    "$@" > /dev/null
  models+=("$file:float32")
  labels+=(--label "$label")
}

# table NAME TEXT CALIBRATION TUNING STEPS: all ways for NAME.safetensors.
table() {
  local name=$1 text=$2 calibration=$3 tuning=$4 steps=$5 bits group packed
  models=() labels=()
  "$lutra" calibrate "$name.safetensors" --data "$calibration" \
    -o "$name.statistics" > /dev/null
  "$lutra" rotate "$name.safetensors" -o "$name-turned.safetensors" > /dev/null
  for scheme in 4:64 3:64 2:64 2:32; do
    bits=${scheme%:*} group=${scheme#*:}
    local common=(--bits "$bits" --group-size "$group")
    packed=$name-$bits-$group
    pack "$bits bits, $group: no data" "$packed-plain" "$name.safetensors" \
      "${common[@]}" --quantizer mse-stretched
    pack "$bits bits, $group: statistics" "$packed-statistics" \
      "$name.safetensors" "${common[@]}" --quantizer mse-stretched \
      --calibration "$name.statistics"
    pack "$bits bits, $group: layer by layer" "$packed-layers" \
      "$name.safetensors" "${common[@]}" --quantizer mse-stretched \
      --data "$calibration" --damping 0.05
    pack "$bits bits, $group: turned, layer by layer" "$packed-turned" \
      "$name-turned.safetensors" "${common[@]}" "${rotation[@]}" \
      --quantizer mse-stretched --data "$calibration" --damping 0.05
    pack "$bits bits, $group: layer by layer, tables by row" "$packed-rows" \
      "$name.safetensors" "${common[@]}" --quantizer kmeans-row \
      --data "$calibration" --damping 0.05
    if ((steps > 0)); then
      echo "tuning: $bits bits, $group" >&2
      "$lutra" tune "$packed-rows" --reference "$name.safetensors" \
        --data "$tuning" --steps "$steps" --lr 0.01 \
        -o "$packed-tuned" > /dev/null
      models+=("$packed-tuned:float32")
      labels+=(--label "$bits bits, $group: the same, tuned")
    fi
  done
  printf '\n## %s\n\n' "$name"
  "$lutra" eval --text "$text" --bytes 65536 --protocol llama -c 512 \
    --cache float32 --reference "$name.safetensors" --format markdown \
    "${labels[@]}" "${models[@]}"
}

main() {
  "$lutra" import "$data/stories260k/stories260K.bin" \
    --tokenizer "$data/stories260k/tok512.bin" -o stories260k.safetensors >&2
  "$lutra" import "$data/tinystories-656k" -o tinystories-656k.safetensors >&2
  head -c 200000 "$data/tinystories/tiny_stories.txt" > stories.txt

  cat <<'TEXT'
# Results of packing with data

Made by `scripts/results_calibrated.sh`; nothing here is typed in.
[packing.md](packing.md#with-data) says what the rows mean. Scales are float16, the
embedding (also the output matrix) has 8 bits in groups of 32; "4 bits, 64" has groups
of 64 columns. Statistics and layers see the first 200,000 bytes of the training text,
64 windows of 512 tokens; tuning sees windows of 256 of all of it, 100 steps of 8.

Perplexity and Kullback-Leibler divergence from the float model are over the first
65,536 bytes of a text that none of this has seen (`lutra eval --protocol llama -c 512`),
with float32 activations: what the weights alone lose. Bits per weight are those of the
whole file's matrices, the embedding and all scales, tables and padding counted.
TEXT

  local stories=$data/tinystories
  table stories260k "$stories/tinystories_val.txt" stories.txt \
    "$stories/tiny_stories.txt" 100
  table tinystories-656k "$stories/tinystories_val.txt" stories.txt \
    "$stories/tiny_stories.txt" 100
  if ((${#more[@]} == 3)); then
    local name
    name=$(basename "${more[0]}" .safetensors)
    ln -s "${more[0]}" "$name.safetensors"
    table "$name" "${more[1]}" "${more[2]}" "" 0
  fi
}

main > results.md
mv results.md "$result"
echo "docs/results_calibrated.md is new" >&2
