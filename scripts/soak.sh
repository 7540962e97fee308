#!/usr/bin/env bash
# Random lives of many sequences in one process, for long: created, fed, forked,
# truncated, saved, restored, cancelled, and allocations fail. Every output must
# be that of the sequence alone, and the memory stay what it is.
#
#   scripts/soak.sh                   an hour
#   scripts/soak.sh --seconds 1200    20 minutes
#   scripts/soak.sh --seed 7          other schedules
set -euo pipefail
case "${1:-}" in
  -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit ;;
esac
cd "$(dirname "$0")/.."

mkdir -p build
cmake --preset release >build/soak.log || { cat build/soak.log >&2; exit 2; }
cmake --build --preset release --target lutra_soak
# Without the C library's caches of freed blocks, so that what is in use can be
# counted to the byte.
export GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0
exec build/release/tests/faults/lutra_soak "$@"
