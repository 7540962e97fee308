#!/usr/bin/env bash
# Installs what the tests need, builds, and runs every test.
#
#   scripts/test.sh             release build
#   scripts/test.sh sanitize    with address and undefined behaviour sanitizers
#   scripts/test.sh threads     kernels and runtime with the thread sanitizer
#   scripts/test.sh debug       with debug contract checks; warnings are errors
#   scripts/test.sh aarch64     kernels for 64-bit Arm, on CPUs that qemu emulates
#   scripts/test.sh armhf       kernels and runtime for 32-bit Arm, emulated: their
#                               bits; likewise i386, riscv64
#   scripts/test.sh windows     kernels and runtime on Windows, under wine
#   scripts/test.sh wasm        kernels for WebAssembly, on node
#   scripts/test.sh small       a small runtime: how large and how quick it is
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-release}
scripts/setup.sh test
case "$preset" in
  threads) scripts/setup.sh ci ;;
  aarch64 | armhf | i386 | riscv64 | windows | wasm) scripts/platform.sh "$preset" ;;
esac
if [[ "$preset" == windows ]]; then
  wineserver -p60  # stays between tests: one that is about to end refuses them
fi
cmake --preset "$preset"
cmake --build --preset "$preset"
ctest --preset "$preset" -j "$(nproc)"
