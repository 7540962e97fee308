#!/usr/bin/env bash
# Installs the packages that building (and testing) lutra needs, if they are
# missing. Debian 12 or newer, Ubuntu 24.04 or newer.
#
#   scripts/setup.sh            what the build and the quick start need
#   scripts/setup.sh test       also what the tests need
#   scripts/setup.sh aarch64    also the cross compiler and emulator for 64-bit Arm;
#                               likewise armhf, i386, riscv64
#   scripts/setup.sh qemu       also the emulator alone
#   scripts/setup.sh windows    also the compiler and emulator for Windows
#   scripts/setup.sh wasm       also the compiler and engine for WebAssembly
#   scripts/setup.sh web        also the browser that tests examples/web
#   scripts/setup.sh python     also what the Python package is built with
#   scripts/setup.sh package    also what Debian packages are made and tried with
#   scripts/setup.sh clang      also the second compiler that lutra is built with
#   scripts/setup.sh test ci    also what .ci/run needs (Debian 12's clang tools)
set -euo pipefail

packages=(
  g++ cmake ninja-build git ca-certificates
  libhwy-dev libxnnpack-dev libcpuinfo-dev libpthreadpool-dev
  libeigen3-dev zlib1g-dev nlohmann-json3-dev libcli11-dev
  libpcre2-dev libutf8proc-dev libsentencepiece-dev libedit-dev
  libagg-dev libpng-dev
  libflatbuffers-dev flatbuffers-compiler
  dataset-fashion-mnist
)
for purpose in "$@"; do
  case "$purpose" in
    test) packages+=(libgtest-dev libgmock-dev libbenchmark-dev pkg-config) ;;
    ci) packages+=(clang-14 libclang-rt-14-dev lld-14 clang-format-14 clang-tidy-14
      libopenmpi-dev openmpi-bin) ;;
    clang) packages+=(clang-14) ;;
    qemu) packages+=(qemu-user) ;;
    aarch64) packages+=(g++-aarch64-linux-gnu qemu-user) ;;
    armhf) packages+=(g++-arm-linux-gnueabihf qemu-user) ;;
    i386) packages+=(g++-i686-linux-gnu qemu-user) ;;
    riscv64) packages+=(g++-riscv64-linux-gnu qemu-user) ;;
    windows) packages+=(g++-mingw-w64-x86-64-posix wine wine64) ;;
    wasm) packages+=(emscripten nodejs) ;;
    package) packages+=(dpkg-dev file debootstrap) ;;
    web) packages+=(chromium) ;;
    python) packages+=(python3-dev python3-venv) ;;
    *) echo "setup.sh: unknown argument '$purpose'" >&2; exit 2 ;;
  esac
done

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ "$status" == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  as_root=(sudo)
fi
echo "Installing: ${missing[*]}"
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -q -y --no-install-recommends "${missing[@]}"
