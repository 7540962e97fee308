#!/usr/bin/env bash
# Builds lutra with vcpkg by the port in packaging/vcpkg, and builds and runs
# packaging/consumer with it.
#
#   scripts/vcpkg.sh           the libraries that lutra uses are the system's:
#                              ports of nothing stand for theirs
#   scripts/vcpkg.sh ports     they are built by vcpkg, which fetches their sources
#   scripts/vcpkg.sh quick     as the first, of few kernels: for a test
#
# VCPKG_ROOT is a clone of vcpkg with its command in it. What it makes is in
# build/vcpkg. The exit status is 75 where there is none.
set -euo pipefail
cd "$(dirname "$0")/.."

out="$PWD/build/vcpkg"
overlays=("--overlay-ports=$PWD/packaging/vcpkg/ports")
case "${1:-}" in
  "" | quick | ports) ;;
  *) echo "vcpkg.sh: unknown argument '$1'" >&2; exit 2 ;;
esac
if [[ ! -x "${VCPKG_ROOT:-}/vcpkg" ]]; then
  echo "vcpkg.sh: there is no vcpkg: set VCPKG_ROOT to a clone of it" >&2
  exit 75
fi
rm -rf "$out"
mkdir -p "$out/system" "$out/triplets"
if [[ "${1:-}" != ports ]]; then
  for name in cpuinfo highway nlohmann-json pcre2 pthreadpool utf8proc; do
    mkdir "$out/system/$name"
    printf '{"name": "%s", "version": "0"}\n' "$name" > "$out/system/$name/vcpkg.json"
    echo 'set(VCPKG_POLICY_EMPTY_PACKAGE enabled)' > "$out/system/$name/portfile.cmake"
  done
  overlays+=("--overlay-ports=$out/system")
fi
# The machine's own triplet, release only: debug libraries prove nothing more.
triplet=$("$VCPKG_ROOT/vcpkg" help triplet 2>/dev/null |
  grep -o -m 1 "^  *$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')-linux$" | tr -d ' ')
{
  cat "$VCPKG_ROOT/triplets/$triplet.cmake" 2>/dev/null ||
    cat "$VCPKG_ROOT/triplets/community/$triplet.cmake"
  echo 'set(VCPKG_BUILD_TYPE release)'
  echo 'set(VCPKG_FIXUP_ELF_RPATH OFF)'  # of programs, by patchelf, which it fetches
  if [[ "${1:-}" == quick ]]; then
    echo 'set(VCPKG_CMAKE_CONFIGURE_OPTIONS -DLUTRA_TARGETS=EMU128 -DLUTRA_BITS=2)'
  fi
} > "$out/triplets/lutra-try.cmake"
export VCPKG_DISABLE_METRICS=1 VCPKG_FORCE_SYSTEM_BINARIES=1
"$VCPKG_ROOT/vcpkg" install lutra --triplet=lutra-try --host-triplet=lutra-try \
  --overlay-triplets="$out/triplets" "${overlays[@]}" \
  --x-install-root="$out/installed" --x-buildtrees-root="$out/buildtrees" \
  --x-packages-root="$out/packages" --binarysource=clear
cmake -G Ninja -S packaging/consumer -B "$out/consumer" -DCMAKE_BUILD_TYPE=Release \
  "-DCMAKE_TOOLCHAIN_FILE=$VCPKG_ROOT/scripts/buildsystems/vcpkg.cmake" \
  -DVCPKG_TARGET_TRIPLET=lutra-try "-DVCPKG_OVERLAY_TRIPLETS=$out/triplets" \
  "-DVCPKG_INSTALLED_DIR=$out/installed" -DVCPKG_MANIFEST_MODE=OFF > "$out/consumer.log"
cmake --build "$out/consumer" >> "$out/consumer.log"
"$out/consumer/consumer" | grep '^lutra [0-9.]*: 0 0.5 2$'
"$out/consumer/gemv" | grep '^y\[3\] = 1.500$'
echo "vcpkg's package can be built and used."
