#!/usr/bin/env bash
# Gives readers of files hostile input, found by libFuzzer: builds the targets
# of tests/fuzz with clang, sanitizers and coverage, and runs them, two at a time.
#
#   scripts/fuzz.sh                         every target, 60 seconds each
#   scripts/fuzz.sh --seconds 3600          an hour each
#   scripts/fuzz.sh gguf onnx               these targets
#   scripts/fuzz.sh --list                  names the targets
#
# Inputs that reach new code are kept in build/fuzz/corpus/TARGET, where the next
# run goes on. Seeds are made by the targets themselves; with LUTRA_TEST_DATA set
# they take more of them from there. A finding is an input that crashes, trips a
# sanitizer, leaks, takes more than 5 seconds or asks for more than a gigabyte: it
# lies in build/fuzz/findings/TARGET, its report is in build/fuzz/TARGET.log,
# CONTRIBUTING.md says how it becomes a test, and the exit code is 1.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=60
targets=()
list=false
while (($# > 0)); do
  case "$1" in
    --seconds)
      [[ ${2:-} =~ ^[1-9][0-9]*$ ]] ||
        { echo "fuzz.sh: --seconds wants a number (see --help)" >&2; exit 2; }
      seconds=$2
      shift
      ;;
    --list) list=true ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit ;;
    -*) echo "fuzz.sh: unknown option '$1' (see --help)" >&2; exit 2 ;;
    *) targets+=("$1") ;;
  esac
  shift
done

build=build/fuzz
fuzz="$PWD/$build/tests/fuzz/lutra_fuzz"
export CC=${CC:-clang-14} CXX=${CXX:-clang++-14}
mkdir -p build
cmake --preset fuzz >"$build.log" || { cat "$build.log" >&2; exit 2; }
cmake --build --preset fuzz
mapfile -t known < <("$fuzz" --targets)
if $list; then printf '%s\n' "${known[@]}"; exit; fi
((${#targets[@]} > 0)) || targets=("${known[@]}")

# Traces of where memory was taken are for leaks, and each allocation pays.
export ASAN_OPTIONS=${ASAN_OPTIONS-malloc_context_size=4}
# Memory, not disk, for the files of an input.
[[ -w /dev/shm ]] && export TMPDIR=/dev/shm

run() {
  local target=$1 corpus=$build/corpus/$1 findings=$build/findings/$1
  local seeds=$build/seeds/$1 checked_in=tests/fuzz/findings/$1
  rm -rf "$seeds" "$findings"
  mkdir -p "$corpus" "$findings"
  "$fuzz" --target="$target" --seeds="$seeds" >"$build/$target.log" 2>&1 ||
    return 0
  [[ -d $checked_in ]] || checked_in=
  "$fuzz" --target="$target" -max_total_time="$seconds" -timeout=5 \
    -rss_limit_mb=2048 -malloc_limit_mb=1024 -print_final_stats=1 \
    -reload=0 -max_len=200000 -artifact_prefix="$findings/" \
    "$corpus" "$seeds" $checked_in >"$build/$target.log" 2>&1 || true
}
running=0
for target in "${targets[@]}"; do
  if ((running == 2)); then wait -n; running=1; fi
  run "$target" &
  running=$((running + 1))
done
wait

stat() { sed -n "s/^stat::$1: *//p" "$build/$2.log"; }
found=()
printf '| %-16s | %10s | %6s | %6s | %6s | %8s |\n' \
  target executions per/s edges corpus findings
printf '| :%s | %s: | %s: | %s: | %s: | %s: |\n' --------------- --------- \
  ----- ----- ----- -------
for target in "${targets[@]}"; do
  log=$build/$target.log
  mapfile -t inputs < <(find "$build/findings/$target" -type f)
  # One that ended without a word of the fuzzer's is a finding as well.
  if ((${#inputs[@]} == 0)) && [[ -z $(stat number_of_executed_units "$target") ]]
  then
    inputs=("$log")
  fi
  printf '| %-16s | %10s | %6s | %6s | %6s | %8d |\n' "$target" \
    "$(stat number_of_executed_units "$target")" \
    "$(stat average_exec_per_sec "$target")" \
    "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)" \
    "$(find "$build/corpus/$target" -type f | wc -l)" "${#inputs[@]}"
  for input in "${inputs[@]}"; do found+=("$target: $input (see $log)"); done
done
if ((${#found[@]} > 0)); then
  printf '%s\n' "${found[@]}" >&2
  exit 1
fi
