#!/usr/bin/env bash
# Gets what a build for another platform needs beside what the tests of this one
# do: its compiler and emulator (scripts/setup.sh), and its libraries, which are
# unpacked into build/sysroot.
#
#   scripts/platform.sh aarch64    or armhf, i386, riscv64
#   scripts/platform.sh windows    on x86-64
#   scripts/platform.sh musl       on x86-64; likewise musl-arm64
#   scripts/platform.sh macos-arm64    or macos-x86_64: to compile for it only
#   scripts/platform.sh android    the libraries; the NDK is ANDROID_NDK_HOME
#   scripts/platform.sh wasm       WebAssembly: the kernels
#   scripts/platform.sh web        and the runtime
#
# The exit status is 75 where there is no compiler for the platform.
set -euo pipefail
cd "$(dirname "$0")/.."

platform=${1:?say which: aarch64, armhf, i386, riscv64, windows, musl,
musl-arm64, macos-arm64, macos-x86_64, android, wasm or web}
folder=$platform
case "$platform" in
  aarch64) architecture=arm64 ;;
  armhf | i386) architecture=$platform ;;
  riscv64 | windows) architecture=all ;;  # Debian 12 has compilers, no packages
  musl | musl-arm64 | macos-arm64 | macos-x86_64 | android)
    architecture=all
    folder=zig-headers
    ;;
  wasm | web)
    architecture=all
    folder=wasm
    ;;
  *) echo "platform.sh: unknown platform '$platform'" >&2; exit 2 ;;
esac

libraries=(libhwy-dev libcpuinfo-dev libpthreadpool-dev libpcre2-dev
  libutf8proc-dev nlohmann-json3-dev)
sources=()
if [[ "$architecture" == all ]]; then  # headers, and what is compiled here
  architecture=$(dpkg --print-architecture)
  libraries=(libhwy-dev nlohmann-json3-dev)
fi
case "$platform" in
  riscv64) sources=(highway pcre2 utf8proc) ;;
  windows | musl* | macos* | android) sources=(highway pcre2 utf8proc) ;;
  web) sources=(pcre2 utf8proc) ;;
esac
case "$platform" in
  android)
    if [[ ! -d "${ANDROID_NDK_HOME:-}" ]]; then
      echo "platform.sh: no NDK: ANDROID_NDK_HOME is not its folder" >&2
      exit 75
    fi
    ;;
  musl-arm64) scripts/setup.sh qemu ;;
  musl | macos*) ;;
  *) scripts/setup.sh "$folder" ;;
esac
case "$platform" in
  musl* | macos*) [[ -n "${LUTRA_CROSS_CXX:-}" ]] || scripts/zig.sh ;;
esac
scripts/sysroot.sh "$architecture" "build/sysroot/$folder" "${libraries[@]}"
scripts/sources.sh build/sysroot/sources "${sources[@]}"
