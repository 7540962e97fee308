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
cd "$(dirname "$0")/.."

draws=50
only=()
while (($# > 0)); do
  case "$1" in
    --draws)
      [[ ${2:-} =~ ^[0-9]{1,9}$ ]] ||
        { echo "faults.sh: --draws wants a number (see --help)" >&2; exit 2; }
      draws=$2
      shift
      ;;
    --only)
      [[ -n ${2:-} ]] ||
        { echo "faults.sh: --only wants a command (see --help)" >&2; exit 2; }
      only=(--only "$2")
      shift
      ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit ;;
    *) echo "faults.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
  esac
  shift
done

mkdir -p build
cmake --preset release >build/faults.log || { cat build/faults.log >&2; exit 2; }
cmake --build --preset release --target lutra_faults
# Memory, not disk.
[[ -w /dev/shm ]] && export TMPDIR=/dev/shm
exec build/release/tests/faults/lutra_faults --draws "$draws" "${only[@]}"
