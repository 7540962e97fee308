#!/usr/bin/env bash
# Installs what the tests need, builds, and runs every test.
#
#   tools/test.sh             release build
#   tools/test.sh sanitize    with address and undefined behaviour sanitizers
#   tools/test.sh debug       with debug contract checks; warnings are errors
#   tools/test.sh aarch64     kernels for 64-bit Arm, on CPUs that qemu emulates
#   tools/test.sh wasm        kernels for WebAssembly, on node
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-release}
case "$preset" in
  aarch64)
    tools/setup.sh test aarch64
    tools/sysroot.sh arm64 build/sysroot/aarch64 \
      libhwy-dev libcpuinfo-dev libpthreadpool-dev
    ;;
  wasm)
    tools/setup.sh test wasm
    tools/sysroot.sh "$(dpkg --print-architecture)" build/sysroot/wasm \
      libhwy-dev libpthreadpool-dev
    ;;
  *) tools/setup.sh test ;;
esac
cmake --preset "$preset"
cmake --build --preset "$preset"
ctest --preset "$preset" -j "$(nproc)"
