#!/usr/bin/env bash
# Mutation testing: makes one small mistake at a time in a copy of a room's
# sources (a comparison, a sign, a constant, a negation, a dropped throw), builds
# the suites that should notice, and runs them. A mistake that no test notices
# is a survivor: it wants a test, or a reason why it changes nothing.
#
#   scripts/mutate.sh qat/spec scheme_test              20 mutants of a folder
#   scripts/mutate.sh FOLDER SUITE... --count 100       more of them
#   scripts/mutate.sh FOLDER SUITE... --seed 7          others
#   scripts/mutate.sh FOLDER SUITE... --seconds 60      what a suite may take
#
# Mutants that are in build/mutation/results.tsv already are not made again: remove
# that file when sources have changed. Ends with a table by folder and the
# survivors. The copy is of the last commit.
set -euo pipefail
case "${1:-}" in
  '' | -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit ;;
esac
cd "$(dirname "$0")/.."

folder=${1%/} count=20 seed=1 seconds=60 suites=()
shift
while (($#)); do
  case "$1" in
    --count) count=${2:?} ; shift 2 ;;
    --seed) seed=${2:?} ; shift 2 ;;
    --seconds) seconds=${2:?} ; shift 2 ;;
    -*) echo "mutate.sh: unknown option $1" >&2; exit 2 ;;
    *) suites+=("$1"); shift ;;
  esac
done
((${#suites[@]})) || { echo "mutate.sh: name a suite, such as scheme_test" >&2; exit 2; }
git cat-file -e "HEAD:$folder" || exit 2

source=$PWD/build/mutation/source
build=$source/build/release
results=$PWD/build/mutation/results.tsv
export LUTRA_TEST_DATA=${LUTRA_TEST_DATA:-$PWD/../shared}
mkdir -p "$source"
touch "$results"
# Writes only files that differ, lest everything is built again.
restore() {
  GIT_INDEX_FILE=$source/../index git --work-tree="$source" read-tree --reset -u HEAD
}
trap restore EXIT
restore

# Every mutant of a file: line number, kind, the line with the mistake. Comments,
# strings, templates' brackets and the preprocessor's lines are left alone.
mutants() {
  awk '
    function emit(kind, at, length_, text) {
      printf "%d\t%s\t%s%s%s\n", NR, kind, substr($0, 1, at - 1), text,
             substr($0, at + length_)
    }
    function each(kind, from, to,    begin, at) {
      for (begin = 1; (at = index(substr($0, begin), from)) > 0; begin = at + 1) {
        at += begin - 1
        emit(kind, at, length(from), to)
      }
    }
    /^ +throw .*;$/ { printf "%d\tdropped check\t;\n", NR; next }
    /^[[:space:]]*(#|\/\/)/ || /"|static_assert|template|operator|\t/ { next }
    /\/\// { next }
    {
      each("bound", " < ", " <= "); each("bound", " <= ", " < ")
      each("bound", " > ", " >= "); each("bound", " >= ", " > ")
      each("comparison", " == ", " != "); each("comparison", " != ", " == ")
      each("sign", " + ", " - "); each("sign", " - ", " + ")
      each("factor", " / ", " * ")
      each("logic", " && ", " || "); each("logic", " || ", " && ")
      each("negation", "(!", "(")
      each("order", "std::min(", "std::max("); each("order", "std::max(", "std::min(")
      if (match($0, /[ (\[][0-9]+[;,)\]]/)) {
        number = substr($0, RSTART + 1, RLENGTH - 2)
        emit("constant", RSTART + 1, RLENGTH - 2, number + 1)
      }
    }
  ' "$1"
}

cmake -S "$source" --preset release >"$source/../configure.log" ||
  { cat "$source/../configure.log" >&2; exit 2; }
make_suites() { timeout 600 cmake --build "$build" --target "${suites[@]}"; }
pass() {
  local suite program
  for suite in "${suites[@]}"; do
    program=$(find "$build/tests" -type f -name "$suite" -perm -u+x)
    (cd "${program%/*}" && timeout "$seconds" "$program" --gtest_fail_fast --gtest_brief) || return
  done
}
make_suites >"$source/../build.log" || { tail -30 "$source/../build.log" >&2; exit 2; }
pass >"$source/../pass.log" 2>&1 || { tail -30 "$source/../pass.log" >&2; exit 2; }

git ls-files "$folder" | grep '\.cc$' | while read -r file; do
  mutants "$source/$file" | sed "s|^|$file\t|"
done | awk -v seed="$seed" 'BEGIN { srand(seed) } { print rand() "\t" $0 }' |
  sort -g | cut -f2- | sed -n "1,${count}p" |
  while IFS=$'\t' read -r file line kind text; do
    key="$file"$'\t'"$line"$'\t'"$kind"$'\t'"$text"
    cut -f2- "$results" | grep -qxF -- "$key" && continue
    git show "HEAD:$file" | awk -v line="$line" -v text="${text//\\/\\\\}" \
      'NR == line { print text; next } { print }' >"$source/$file"
    if ! make_suites >/dev/null 2>&1 </dev/null; then
      verdict="not compiled"
    elif pass >/dev/null 2>&1 </dev/null; then
      verdict=survived
    elif (($? == 124)); then
      verdict=timeout
    else
      verdict=caught
    fi
    printf '%s\t%s\n' "$verdict" "$key" | tee -a "$results"
    restore
  done

awk -F'\t' '
  $1 == "not compiled" { next }
  { folder = $2; sub("/[^/]*$", "", folder); all[folder]++; if ($1 != "survived") noticed[folder]++ }
  END { for (f in all) printf "%-24s %4d of %4d noticed\n", f, noticed[f], all[f] }
' "$results" | sort
grep '^survived' "$results" || true
