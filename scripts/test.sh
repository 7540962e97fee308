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
#   scripts/test.sh musl        kernels and runtime with musl; musl-arm64: their bits,
#                               emulated, and the layout of liblutra.so
#   scripts/test.sh macos-arm64    compiles and links liblutra for macOS, which nothing
#                               here runs; likewise macos-x86_64
#   scripts/test.sh android     likewise with Android's NDK, ANDROID_NDK_HOME, and
#                               checks the layout of liblutra.so
#   scripts/test.sh wasm        kernels for WebAssembly, on node
#   scripts/test.sh small       a small runtime: how large and how quick it is
#
# The exit status is 75 where there is no compiler for the platform.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-release}
scripts/setup.sh test
case "$preset" in
  threads) scripts/setup.sh ci ;;
  aarch64 | armhf | i386 | riscv64 | windows | wasm | musl* | macos* | android)
    scripts/platform.sh "$preset"
    ;;
esac
if [[ "$preset" == windows ]]; then
  wineserver -p60  # stays between tests: one that is about to end refuses them
fi
cmake --preset "$preset"
cmake --build --preset "$preset"
case "$preset" in
  macos*) file -L build/"$preset"/runtime/liblutra.dylib | tee /dev/stderr | grep -q Mach-O ;;
  android)
    tests/runtime/library_layout.sh build/android/runtime/liblutra.so \
      libc.so libm.so libdl.so
    ;;
  *) ctest --preset "$preset" -j "$(nproc)" ;;
esac
