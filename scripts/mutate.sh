#!/usr/bin/env bash
# Mutation testing: makes one small mistake at a time in a copy of a folder's
# sources (a comparison, a sign, a constant, a negation, a dropped check), builds
# the suites that should notice, and runs them. A mistake that no test notices
# is a survivor: it wants a test, or a reason in docs/mutations.md.
#
#   scripts/mutate.sh qat/spec scheme_test              20 mutants of a folder
#   scripts/mutate.sh FOLDER SUITE... --count 100       more of them
#   scripts/mutate.sh FOLDER SUITE... --seed 7          others
#   scripts/mutate.sh FOLDER SUITE... --seconds 60      of a CPU, that a suite may take
#   scripts/mutate.sh FOLDER SUITE... --again           the folder's survivors, with these suites
#   scripts/mutate.sh                                   the table by folder and room, the survivors
#
# What was found is kept in build/mutation/results.tsv: mutants that are in it are
# not made again. Remove that file when sources have changed. A mutant that does
# not compile, or of which the same machine code comes, does not count. Kernels are
# built for AVX2 alone. The copy is of the last commit. A large number of mutants
# takes less time with GTEST_FILTER or LUTRA_TEST_DIVISOR in the environment;
# --again without them then tells what survives all tests.
set -euo pipefail
case "${1:-}" in
  -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit ;;
esac
cd "$(dirname "$0")/.."

results=$PWD/build/mutation/results.tsv
mkdir -p "${results%/*}"
touch "$results"

# A line of the results is: verdict, file, line number, kind, the line with the
# mistake. The last verdict of a mutant counts.
latest() {
  awk '{ key = $0; sub(/^[^\t]*\t/, "", key); if (!(key in last)) order[++n] = key
         last[key] = $0; sub(/\t.*/, "", last[key]) }
       END { for (i = 1; i <= n; i++) print last[order[i]] "\t" order[i] }' "$results"
}
report() {
  latest | awk -F'\t' '
    FNR == NR { if (sub(/^    /, "")) harmless[$0]; next }
    $1 == "not compiled" || $1 == "same code" || $1 == "gone" { next }
    {
      line = $5; gsub(/^ +| +$/, "", line)
      folder = $2; sub("/[^/]*$", "", folder); room = $2; sub("/.*", "", room)
      outcome = $1 != "survived" ? "noticed" : $2 ": " line in harmless ? "harmless" : "open"
      if (outcome == "open") open[++survivors] = $2 ":" $3 ": " line
      count[folder, outcome]++; count[room "/", outcome]++; count["all", outcome]++
      all[folder]; all[room "/"]; all["all"]
    }
    END {
      row = "%-28s %8s %8s %8s %8s\n"
      printf row, "", "mutants", "noticed", "harmless", "open"
      sort = "sort"
      for (f in all) {
        n = count[f, "noticed"] + 0; h = count[f, "harmless"] + 0; o = count[f, "open"] + 0
        printf row, f, n + h + o, n, h, o | sort
      }
      close(sort)
      for (i = 1; i <= survivors; i++) print open[i]
    }' docs/mutations.md -
}
(($#)) || { report; exit; }

folder=${1%/} count=20 seed=1 seconds=60 again='' suites=()
shift
while (($#)); do
  case "$1" in
    --count) count=${2:?} ; shift 2 ;;
    --seed) seed=${2:?} ; shift 2 ;;
    --seconds) seconds=${2:?} ; shift 2 ;;
    --again) again=1 ; shift ;;
    -*) echo "mutate.sh: unknown option $1" >&2; exit 2 ;;
    *) suites+=("$1"); shift ;;
  esac
done
((${#suites[@]})) || { echo "mutate.sh: name a suite, such as scheme_test" >&2; exit 2; }
commit=$(git rev-parse HEAD)
git cat-file -e "$commit:$folder" || exit 2

source=$PWD/build/mutation/source
build=$source/build/release
configuration=()
if [[ $folder == kernels* ]]; then
  build=$source/build/kernels
  configuration=(-DLUTRA_ROOMS=kernels -DLUTRA_TARGETS=AVX2 -DLUTRA_INSTALL=OFF)
fi
export LUTRA_TEST_DATA=${LUTRA_TEST_DATA:-$PWD/../shared}
mkdir -p "$source"
# Writes only files that differ, lest everything is built again.
restore() {
  GIT_INDEX_FILE=$source/../index git --work-tree="$source" read-tree --reset -u "$commit"
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
    /\t/ { next }
    /^ +(throw |(Fail|Refuse|Require|Check)[A-Za-z]*\()/ {
      match($0, /^ +/); emit("dropped check", RLENGTH + 1, 0, "if (false) "); next
    }
    /^[[:space:]]*(#|\/\/)/ || /"|static_assert|template|operator/ { next }
    /\/\// { next }
    {
      each("bound", " < ", " <= "); each("bound", " <= ", " < ")
      each("bound", " > ", " >= "); each("bound", " >= ", " > ")
      each("comparison", " == ", " != "); each("comparison", " != ", " == ")
      each("sign", " + ", " - "); each("sign", " - ", " + ")
      each("sign", " += ", " -= "); each("sign", " -= ", " += ")
      each("factor", " / ", " * ")
      each("logic", " && ", " || "); each("logic", " || ", " && ")
      each("negation", "(!", "(")
      each("order", "std::min(", "std::max("); each("order", "std::max(", "std::min(")
      each("answer", "return true;", "return false;"); each("answer", "return false;", "return true;")
      if (match($0, /[ (\[][0-9]+[;,)\]]/)) {
        number = substr($0, RSTART + 1, RLENGTH - 2)
        emit("constant", RSTART + 1, RLENGTH - 2, number + 1)
      }
    }
  ' "$1"
}

cmake -S "$source" -B "$build" --preset release -DLUTRA_UNITY=OFF "${configuration[@]}" >"$source/../configure.log" ||
  { cat "$source/../configure.log" >&2; exit 2; }
make_suites() { timeout 600 cmake --build "$build" --target "${suites[@]}"; }
program() { find "$build/tests" -type f -name "$1" -perm -u+x; }
digest() { find "$build" -name 'liblutra_*.a' -exec sha256sum {} + | sort; }
# A mistake may take all memory there is, and all time, or wait forever.
pass() (
  ulimit -v $((16 << 20))
  ulimit -S -t "$seconds"
  for suite in "${suites[@]}"; do
    program=$(program "$suite")
    cd "${program%/*}"
    timeout $((20 * seconds)) "$program" --gtest_fail_fast --gtest_brief || exit
  done
)
make_suites >"$source/../build.log" || { tail -30 "$source/../build.log" >&2; exit 2; }
pass >"$source/../pass.log" 2>&1 || { tail -30 "$source/../pass.log" >&2; exit 2; }
sound=$(digest)

# Lines of file, line number, kind, text: all mutants there are, in random order.
all=$(git ls-files "$folder" | grep -E '\.cc$|-inl\.h$|^kernels/[a-z]+/[^/]*\.h$' |
  while read -r file; do mutants "$source/$file" | sed "s|^|$file\t|"; done |
  awk -v seed="$seed" 'BEGIN { srand(seed) } { print rand() "\t" $0 }' | sort -g | cut -f2-)
if [[ $again ]]; then
  chosen=$(latest | grep -P "^survived\t$folder/" | cut -f2-) || { echo "mutate.sh: $folder has no survivors" >&2; exit; }
else
  chosen=$(sed -n "1,${count}p" <<<"$all")
fi
while IFS=$'\t' read -r file line kind text; do
  key="$file"$'\t'"$line"$'\t'"$kind"$'\t'"$text"
  [[ $file ]] || continue
  [[ $again ]] || ! cut -f2- "$results" | grep -qxF -- "$key" || continue
  git show "$commit:$file" | awk -v line="$line" -v text="${text//\\/\\\\}" \
    'NR == line { print text; next } { print }' >"$source/$file"
  if ! grep -qxF -- "$key" <<<"$all"; then
    verdict=gone
  elif ! make_suites >/dev/null 2>&1 </dev/null; then
    verdict="not compiled"
  elif [[ $(digest) == "$sound" ]]; then
    verdict="same code"
  elif pass >/dev/null 2>&1 </dev/null; then
    verdict=survived
  elif code=$? && ((code == 124 || code == 152)); then  # 152: by SIGXCPU
    verdict=timeout
  else
    verdict=caught
  fi
  printf '%s\t%s\n' "$verdict" "$key" | tee -a "$results"
  restore
done <<<"$chosen"
report
