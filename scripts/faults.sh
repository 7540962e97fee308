#!/usr/bin/env bash
# Runs commands while calls of the C library fail, are interrupted, do half of
# the work or end the process: allocations, reads, writes, renames, threads,
# clocks. All that may come of it is one line and the exit code 1, and a file is
# what it was before or what it is meant to be. Ends with a table.
#
#   scripts/faults.sh                    50 calls of each kind for each command
#   scripts/faults.sh --draws 1000       more of them, 0: every call
#   scripts/faults.sh --only train       one command
set -euo pipefail
case "${1:-}" in
  -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit ;;
esac
cd "$(dirname "$0")/.."

mkdir -p build
cmake --preset release >build/faults.log || { cat build/faults.log >&2; exit 2; }
cmake --build --preset release --target lutra_faults
# Memory, not disk.
[[ -w /dev/shm ]] && export TMPDIR=/dev/shm
exec build/release/tests/faults/lutra_faults "$@"
