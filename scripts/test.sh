#!/usr/bin/env bash
# Installs what the tests need, builds, and runs every test.
#
#   scripts/test.sh             release build
#   scripts/test.sh sanitize    with address and undefined behaviour sanitizers
#   scripts/test.sh debug       with debug contract checks; warnings are errors
#   scripts/test.sh aarch64     kernels for 64-bit Arm, on CPUs that qemu emulates
#   scripts/test.sh wasm        kernels for WebAssembly, on node
#   scripts/test.sh small       a small runtime: how large and how quick it is
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-release}
case "$preset" in
  aarch64)
    scripts/setup.sh test aarch64
    scripts/sysroot.sh arm64 build/sysroot/aarch64 \
      libhwy-dev libcpuinfo-dev
    ;;
  wasm)
    scripts/setup.sh test wasm
    scripts/sysroot.sh "$(dpkg --print-architecture)" build/sysroot/wasm \
      libhwy-dev
    ;;
  *) scripts/setup.sh test ;;
esac
cmake --preset "$preset"
cmake --build --preset "$preset"
ctest --preset "$preset" -j "$(nproc)"
