#!/usr/bin/env bash
# Fails if clang-tidy finds what .clang-tidy lists. The version is pinned,
# because releases find different things.
#
#   scripts/check_tidy.sh              all sources of the libraries and the command
#   scripts/check_tidy.sh FILE...      these
set -euo pipefail
cd "$(dirname "$0")/.."

# Compile commands, of g++ but without its compiled headers.
build=build/tidy
cmake --preset release -B "$build" -DLUTRA_PRECOMPILE=OFF -DLUTRA_UNITY=OFF \
  -DLUTRA_BUILD_TESTS=OFF -DLUTRA_BUILD_BENCH=OFF >/dev/null
if (($# > 0)); then
  files=("$@")
else
  mapfile -t files < <(git ls-files 'runtime/*.cc' 'qat/*.cc' 'packer/*.cc' \
    'tools/*.cc' 'kernels/*.cc')
fi
# Sources of parts that this build left out have no command.
known=()
for file in "${files[@]}"; do
  if grep -qF "/$file\"" "$build/compile_commands.json"; then known+=("$file"); fi
done
printf '%s\0' "${known[@]}" |
  xargs -0 -P "$(nproc)" -n 4 clang-tidy-14 --quiet -p "$build"
echo "clang-tidy finds nothing in ${#known[@]} files."
