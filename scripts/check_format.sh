#!/usr/bin/env bash
# Fails if a C or C++ file is not formatted as .clang-format says. The version
# is pinned, because releases format differently.
#
#   scripts/check_format.sh         check
#   scripts/check_format.sh --fix   reformat in place
set -euo pipefail
cd "$(dirname "$0")/.."

mode=(--dry-run --Werror)
if [[ "${1:-}" == --fix ]]; then
  mode=(-i)
fi
git ls-files -z '*.h' '*.cc' '*.c' | xargs -0 clang-format-14 "${mode[@]}"
echo "The tree is clang-format clean."
