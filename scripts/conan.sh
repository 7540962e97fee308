#!/usr/bin/env bash
# Builds lutra with Conan 2 by the recipe in packaging/conan, as static libraries
# and as a shared one, and builds and runs packaging/consumer with each.
#
#   scripts/conan.sh           the libraries that lutra uses are the system's
#   scripts/conan.sh center    they come from Conan Center
#   scripts/conan.sh quick     as the first, but static only, not optimized and of few
#                              kernels: for a test
#
# CONAN is the command, if it is not in the PATH. What it keeps is in build/conan.
# The exit status is 75 where there is none.
set -euo pipefail
cd "$(dirname "$0")/.."

system=True
libraries=(False True)  # shared?
settings=(-c tools.cmake.cmaketoolchain:generator=Ninja
  -c "tools.cmake.cmake_layout:test_folder=$PWD/build/conan/test")
case "${1:-}" in
  "") ;;
  center) system=False ;;
  quick)
    libraries=(False)
    settings+=(-s build_type=Debug -c
      'tools.cmake.cmaketoolchain:extra_variables={"LUTRA_TARGETS": "EMU128", "LUTRA_BITS": "2"}')
    ;;
  *) echo "conan.sh: unknown argument '$1'" >&2; exit 2 ;;
esac
conan=${CONAN:-$(command -v conan || true)}
if [[ -z "$conan" ]]; then
  echo "conan.sh: there is no conan: pip install conan, or set CONAN" >&2
  exit 75
fi
export CONAN_HOME="$PWD/build/conan"
"$conan" profile detect --force > /dev/null
for shared in "${libraries[@]}"; do
  printed=$("$conan" create packaging/conan --build=missing --build='lutra/*' \
    -s compiler.cppstd=gnu20 -o "lutra/*:shared=$shared" \
    -o "lutra/*:system_libraries=$system" "${settings[@]}" 2>&1) || {
    printf '%s\n' "$printed"
    exit 1
  }
  for line in '^lutra [0-9.]*: 0 0.5 2$' '^y\[3\] = 1.500$'; do
    if ! grep -q "$line" <<< "$printed"; then
      printf '%s\n' "$printed"
      echo "conan.sh: '$line' was not printed" >&2
      exit 1
    fi
  done
  echo "Conan's package with shared=$shared can be built and used."
done
