#!/usr/bin/env bash
# Builds the JavaScript package (docs/web.md) into build/web/bindings/web/lutra,
# and tests it in Node with models that the native command makes: what both
# compute must be the same to the bit.
#
#   scripts/web.sh           builds and tests the package
#   scripts/web.sh page      also builds examples/web into build/web/page, and
#                            tests it in Chromium; screenshots in build/web/shots
#   scripts/web.sh speed     measures beside the native command
#
# Models of stories come from LUTRA_TEST_DATA; tests that need them are skipped
# without it.
set -euo pipefail
cd "$(dirname "$0")/.."

purpose=${1:-package}
case "$purpose" in
  package | speed) ;;
  page) scripts/setup.sh web ;;
  *) echo "web.sh: unknown argument '$purpose'" >&2; exit 2 ;;
esac
scripts/platform.sh web
LUTRA_TEST_DATA=$(realpath -m "${LUTRA_TEST_DATA:-../shared}")
export LUTRA_TEST_DATA

cmake --preset release
cmake --build --preset release --target lutra
cmake --preset web
cmake --build --preset web --target lutra_web runtime_digest_test
cmake --preset web-threads
cmake --build --preset web-threads --target lutra_web
cp build/web-threads/bindings/web/lutra/lutra-threads.wasm build/web/bindings/web/lutra/

# What the tests run.
export LUTRA_COMMAND="$PWD/build/release/tools/lutra"
export LUTRA_WEB_MODELS="$PWD/build/web/models"
mkdir -p "$LUTRA_WEB_MODELS"
cd "$LUTRA_WEB_MODELS"
lutra() { "$LUTRA_COMMAND" "$@" > /dev/null; }
if [[ ! -f classifier.safetensors ]]; then
  lutra train --data /usr/share/datasets/fashion-mnist --hidden 64 --epochs 1 \
    --bits 2 -o trained.safetensors --pack classifier.safetensors
fi
stories=$LUTRA_TEST_DATA/data/stories260k/stories260K.bin
if [[ ! -f stories.safetensors && -f "$stories" ]]; then
  lutra import "$stories" -o float.safetensors
  lutra pack float.safetensors -o stories.safetensors --bits 4 --group-size 32
fi
# Another model and tokenizer, with a template of conversations.
stories=$LUTRA_TEST_DATA/data/tinystories-656k
if [[ ! -f chat.safetensors && -d "$stories" ]]; then
  rm -rf chat
  cp -r "$stories" chat
  cat > chat/chat_template.jinja <<'TEMPLATE'
{% for message in messages %}{{ message.content }}
{% endfor %}{% if add_generation_prompt %}Once{% endif %}
TEMPLATE
  lutra import chat -o float.safetensors
  lutra pack float.safetensors -o chat.safetensors --bits 4 --group-size 32
fi
# A tokenizer that needs regular expressions and Unicode.
folder=$LUTRA_TEST_DATA/golden/hf/qwen2-bias-tied
if [[ ! -f qwen.safetensors && -d "$folder" ]]; then
  lutra import "$folder" -o qwen.safetensors
fi
cd - > /dev/null

if [[ "$purpose" == speed ]]; then
  exec node bindings/web/bench/speed.js
fi
ctest --preset web -R '^runtime_digest_test'
node --test bindings/web/tests/package.test.js

if [[ "$purpose" == page ]]; then
  rm -rf build/web/page
  cp -r examples/web build/web/page
  cp -r build/web/bindings/web/lutra build/web/page/lutra
  node --test bindings/web/tests/page.test.js
fi
