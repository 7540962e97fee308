#!/usr/bin/env bash
# Installs what the tests need, builds, and runs every test.
#
#   tools/test.sh             release build
#   tools/test.sh sanitize    with address and undefined behaviour sanitizers
#   tools/test.sh debug       with debug contract checks; warnings are errors
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-release}
tools/setup.sh test
cmake --preset "$preset"
cmake --build --preset "$preset"
ctest --preset "$preset" -j "$(nproc)"
