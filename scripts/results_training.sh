#!/usr/bin/env bash
# Makes docs/results_training.md: what a small language model loses at few bits,
# packed after training and trained for them in several ways, over three seeds.
# Takes an hour of one thread.
#
#   scripts/results_training.sh [DATA [RUNS]]
#
# DATA   folder with the models and texts [../shared/data, or data/ in
#        LUTRA_TEST_DATA]
# RUNS   folder that keeps what has been trained: a later call goes on there
#        [build/results_training]
#
# The command is build/release/tools/lutra, or what LUTRA names.
set -euo pipefail
cd "$(dirname "$0")/.."

data=$(realpath "${1:-${LUTRA_TEST_DATA:-../shared}/data}")
lutra=$(realpath "${LUTRA:-build/release/tools/lutra}")
result=$PWD/docs/results_training.md
mkdir -p "${2:-build/results_training}"
cd "${2:-build/results_training}"

steps=150
seeds=(1 2 3)
texts=$data/tinystories
model=stories260k.safetensors
group=(--group-size 32)
# Learning rates by bits (32: float).
declare -A rate=([32]=5e-4 [4]=1e-3 [3]=2e-3 [2]=4e-3)

# train NAME BITS OPTIONS...: NAME-SEED.safetensors for every seed, packed if it
# has few bits, unless they are there.
train() {
  local name=$1 bits=$2 seed out
  local options=(--data texts --steps "$steps" --batch 16 -t 1)
  options+=(--lr "${rate[$bits]}")
  [[ $bits == 32 ]] || options+=(--bits "$bits" "${group[@]}" --exclude embed)
  for seed in "${seeds[@]}"; do
    out=$name-$seed.safetensors
    [[ -e $out ]] && continue
    echo "training $out" >&2
    if [[ $bits == 32 ]]; then
      "$lutra" train "$model" "${options[@]}" --seed "$seed" -o "$out" \
        "${@:3}" > /dev/null
    else
      "$lutra" train "$model" "${options[@]}" --seed "$seed" -o unpacked \
        --pack "$out" "${@:3}" > /dev/null
    fi
  done
}

# after BITS: the float models packed without data.
after() {
  local seed
  for seed in "${seeds[@]}"; do
    "$lutra" pack "float-$seed.safetensors" -o "$1-after-$seed.safetensors" \
      --bits "$1" "${group[@]}" --quantizer mse-stretched --exclude embed \
      > /dev/null
  done
}

# nats NAME...: the nats per token of the models NAME-SEED, a line for each:
# name, seed, nats.
nats() {
  local name seed
  for name in "$@"; do
    for seed in "${seeds[@]}"; do
      local file=$name-$seed.safetensors
      # Kept beside the model, as models do not change.
      if [[ ! -e $file.nats || $file -nt $file.nats ]]; then
        "$lutra" eval "$file:float32" --text "$texts/tinystories_val.txt" \
          --bytes 65536 -t 1 --json > json
        grep -o '"nats_per_token": *[0-9.]*' json | grep -o '[0-9.]*$' \
          > "$file.nats"
      fi
      echo "$name $seed $(cat "$file.nats")"
    done
  done
}

# table FLOAT: of lines of nats.
table() {
  awk -v float="$1" '
    { nats[$1, $2] = $3; if (!($1 in seen)) { seen[$1] = 1; order[++count] = $1 }
      if (!($2 in is_seed)) { is_seed[$2] = 1; seeds[++seed_count] = $2 } }
    function mean(name,    i, sum) {
      for (i = 1; i <= seed_count; ++i) sum += nats[name, seeds[i]]
      return sum / seed_count
    }
    function spread(name,    i, d, max) {
      for (i = 1; i <= seed_count; ++i) {
        d = nats[name, seeds[i]] - mean(name)
        if (d < 0) d = -d
        if (d > max) max = d
      }
      return max
    }
    END {
      print "| bits | method | nats per token | perplexity | loss against float | won back |"
      print "|---|---|---:|---:|---:|---:|"
      for (i = 1; i <= count; ++i) {
        name = order[i]
        bits = name; sub(/-.*/, "", bits)
        method = name; sub(/^[^-]*-/, "", method); gsub(/_/, " ", method)
        loss = exp(mean(name) - mean(float)) - 1
        if (method == "after") { after = loss; method = "packed after training" }
        won = method == "packed after training" || name == float ? "" \
          : sprintf("%.0f %%", 100 * (after - loss) / after)
        if (name == float) { bits = "32"; method = "float" }
        printf "| %s | %s | %.4f +- %.4f | %.3f | %s | %s |\n", bits, method,
          mean(name), spread(name), exp(mean(name)),
          name == float ? "" : sprintf("%+.1f %%", 100 * loss), won
      }
    }'
}

if [[ ! -e $model ]]; then
  "$lutra" import "$data/stories260k/stories260K.bin" \
    --tokenizer "$data/stories260k/tok512.bin" -o "$model" > /dev/null
fi
mkdir -p texts
cp "$texts/tiny_stories.txt" "$texts/tinystories_10k.txt" texts/

names=(float)
train float 32
for bits in 4 3 2; do
  after "$bits"
  train "$bits-hard" "$bits" --prox hard
  train "$bits-BinaryRelax" "$bits" --prox binaryrelax
  train "$bits-PARQ" "$bits" --prox parq
  train "$bits-hard,_learned_scales" "$bits" --prox hard --learn-scales
  train "$bits-PARQ,_learned_scales" "$bits" --prox parq --learn-scales
  names+=("$bits-after" "$bits-hard" "$bits-BinaryRelax" "$bits-PARQ"
    "$bits-hard,_learned_scales" "$bits-PARQ,_learned_scales")
done

{
  cat <<TEXT
# Results of training

Made by \`scripts/results_training.sh\`; nothing here is typed in. stories260k, a Llama of
260,000 weights, goes on learning from its published float weights on the stories of
TinyStories (2.4 MB): $steps steps of 16 windows of 257 tokens, ${#seeds[@]} seeds, AdamW, everything else
as \`lutra train\` has it. *float* stays float; the others have their matrices, but the embedding,
on few bits in groups of 32: *packed after training* is the float model of the same seed under
\`lutra pack --quantizer mse-stretched\`, the rest is trained so
(\`--bits B --group-size 32 --exclude embed\`, with \`--prox hard\`, \`binaryrelax\` or \`parq\`, with
\`--learn-scales\` where it says so), and packed without loss. Highest learning rates: 5e-4 for float,
1e-3 for 4 bits, 2e-3 for 3 and 4e-3 for 2.

Nats per token are those of the packed model with float32 activations on the first 65,536 bytes of the
validation text; after +- stands the largest distance of a seed from the mean. *Loss* is what perplexity
gains over that of float, *won back* the share of the loss of packing after training that training avoids.

TEXT
  nats "${names[@]}" > nats
  table float < nats
} > results.md
mv results.md "$result"
echo "docs/results_training.md is new" >&2
