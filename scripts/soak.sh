#!/usr/bin/env bash
# Random lives of many sequences in one process, for long: created, fed, forked,
# truncated, saved, restored, cancelled, and allocations fail. Every output must
# be that of the sequence alone, and the memory stay what it is.
#
#   scripts/soak.sh                   an hour
#   scripts/soak.sh --minutes 20      20 minutes
#   scripts/soak.sh --seed 7          other schedules
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=60
seed=1
while (($# > 0)); do
  case "$1" in
    --minutes | --seed)
      [[ ${2:-} =~ ^[1-9][0-9]{0,8}$ ]] ||
        { echo "soak.sh: $1 wants a number (see --help)" >&2; exit 2; }
      if [[ $1 == --seed ]]; then seed=$2; else minutes=$2; fi
      shift
      ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit ;;
    *) echo "soak.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
  esac
  shift
done

mkdir -p build
cmake --preset release >build/soak.log || { cat build/soak.log >&2; exit 2; }
cmake --build --preset release --target lutra_soak
# Without the C library's caches of freed blocks, so that what is in use can be
# counted to the byte.
export GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0
exec build/release/tests/faults/lutra_soak \
  --seconds $((60 * minutes)) --seed "$seed"
