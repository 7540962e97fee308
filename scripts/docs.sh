#!/usr/bin/env bash
# Types what the pages say, as somebody does who reads them for the first time: in
# a clean folder for each page, with lutra as it is installed. Before each block of
# commands a page says what becomes of it:
#
#   <!-- walk -->              it is run, and must succeed
#   <!-- walk: same -->        and print what the page shows ("..." is any text)
#   <!-- walk: long -->        it is run with --long only
#   <!-- no walk: REASON -->   it is not
#
# and once, <!-- walk with: NAME... -->, what lies in the folder before: files of
# this repository, of the quick start, of LUTRA_TEST_DATA or of the folder after
# --data (a page without its files is skipped); and <!-- walk after: COMMAND -->, what is done there first.
#
#   scripts/docs.sh [--long] [--build DIR] [--data DIR] [PAGE...]
#                          walks the pages; all of them, by the build in build/release
#   scripts/docs.sh check  fails if a block says nothing of this
#   scripts/docs.sh list   which blocks are not run, and why
#
# The exit status is 75 where files are missing for all of them.
set -euo pipefail
cd "$(dirname "$0")/.."

# Takes the blocks of commands of the page $1 apart. With a folder $2: into
# files N.sh and N.expected there, and a line "N LINE MARK" for each in standard
# output; the marks are walk, same, long, "no REASON" and none.
blocks() {
  awk -v folder="${2:-}" '
    function finish(  i, text, is_command, prompts, goes_on, name) {
      while (count > 0 && block[count] == "") --count
      text = block[1]
      if (count == 0 || !(language == "sh" || (language == "" &&
          text ~ /^(\$ |# |(lutra|cmake|scripts|mpirun|pip|npm)[ \/])/))) { mark = ""; count = 0; return }
      ++number
      print number, first, mark == "" ? "none" : mark
      name = folder "/" number
      if (folder != "") printf "" > (name ".expected")
      for (i = 1; i <= count; ++i) if (block[i] ~ /^\$ /) prompts = 1
      for (i = 1; folder != "" && i <= count; ++i) {
        text = block[i]
        is_command = !prompts || goes_on || text ~ /^\$ /
        sub(/^\$ /, "", text)
        print text > (name (is_command ? ".sh" : ".expected"))
        if (!goes_on) quotes = 0
        quotes += gsub(/\047/, "\047", text)
        goes_on = is_command && (text ~ /[\\|]$/ || quotes % 2 == 1)
      }
      close(name ".sh"); close(name ".expected")
      mark = ""; count = 0
    }
    /^<!-- / && indented { indented = 0; finish() }
    /^<!-- walk (with|after): / { next }
    /^<!-- (no )?walk(:.*)? -->$/ {
      mark = $0
      gsub(/^<!-- | -->$/, "", mark)
      if (mark ~ /^no walk: ./) sub(/^no walk:/, "no", mark)
      else if (mark ~ /^walk: (same|long)$/) sub(/^walk: /, "", mark)
      else if (mark != "walk") mark = ""
      next
    }
    /^```/ && !fenced { fenced = 1; language = substr($0, 4); first = NR + 1; count = 0; next }
    /^```/ { fenced = 0; finish(); next }
    fenced { block[++count] = $0; next }
    /^    / && (indented || blank) {
      if (!indented) { indented = 1; language = ""; first = NR; count = 0 }
      block[++count] = substr($0, 5); next
    }
    indented && /^$/ { block[++count] = ""; next }
    indented { indented = 0; finish() }
    { blank = ($0 == ""); if (!blank) mark = "" }
    END { if (indented) finish() }' "$1"
}

# Puts what the page $1 wants into the folder $2. Fails for what is not there.
furnish() {
  local names name place
  read -ra names <<< "$(sed -n 's/^<!-- walk with: \(.*\) -->$/\1/p' "$1")"
  for name in "${names[@]}"; do
    mkdir -p "$(dirname "$2/$name")"
    for place in "$PWD/$name" "$PWD/build/quickstart/$name" "$data/$name" "$data/data/$name" "$data/data"/*/"$name" "$more/$name"; do
      if [[ -e "$place" ]]; then
        cp -rs "$place" "$2/$name"
        continue 2
      fi
    done
    echo "$1: skipped: there is no $name"
    return 1
  done
  sed -n 's/^<!-- walk after: \(.*\) -->$/\1/p' "$1" > "$2.first.sh"
  (cd "$2" && bash -eu "$2.first.sh" > /dev/null)
}

# Whether the file $2 is what the file $1 shows.
is_shown() {
  local pattern text
  pattern=$(sed 's/[\\*?[]/\\&/g; s/\.\.\./*/g; s/ *$//' "$1")
  text=$(sed 's/ *$//' "$2")
  # shellcheck disable=SC2053
  [[ "$text" == $pattern ]]
}

all=(README.md docs/*.md)
long=
build=build/release
more=/nowhere
mode=walk
pages=()
while (($# > 0)); do
  case "$1" in
    check | list) mode=$1 ;;
    --long) long=1 ;;
    --build) build=$2; shift ;;
    --data) more=$(realpath "$2"); shift ;;
    -*) echo "docs.sh: unknown option '$1'" >&2; exit 2 ;;
    *) pages+=("$1") ;;
  esac
  shift
done
((${#pages[@]} > 0)) || pages=("${all[@]}")

if [[ "$mode" != walk ]]; then
  failed=0
  for page in "${pages[@]}"; do
    while read -r _ line mark; do
      if [[ "$mode" == list && "$mark" == no\ * ]]; then echo "$page:$line: ${mark#no }"; fi
      if [[ "$mode" == check && "$mark" == none ]]; then
        echo "$page:$line: does not say whether these commands are run (scripts/docs.sh)" >&2
        failed=1
      fi
    done < <(blocks "$page")
  done
  exit $failed
fi

data=$(realpath -m "${LUTRA_TEST_DATA:-../shared}")
out="$(realpath "$build")/docs"
rm -rf "$out"
mkdir -p "$out"
# ~/.local is where the pages install it.
export HOME="$out/home"
export PATH="$HOME/.local/bin:$PATH"
cmake --install "$build" --prefix "$HOME/.local" > "$out/install.log"
run=0
failed=0
for page in "${pages[@]}"; do
  folder="$out/$(basename "$page" .md)"
  mkdir -p "$folder" "$folder.blocks"
  blocks "$page" "$folder.blocks" > "$folder.list"
  grep -q '^[0-9]* [0-9]* \(walk\|same\|long\)$' "$folder.list" || continue
  furnish "$page" "$folder" || continue
  while read -r number line mark; do
    case "$mark" in
      no\ * | none) continue ;;
      long) [[ -n "$long" ]] || continue ;;
    esac
    files="$folder.blocks/$number"
    ((++run))
    if ! (cd "$folder" && bash -eu "$files.sh" > "$files.out" 2> "$files.err" < /dev/null); then
      echo "$page:$line: fails:"
      tail -n 5 "$files.err"
      failed=1
    elif [[ "$mark" == same ]] && ! is_shown "$files.expected" "$files.out"; then
      echo "$page:$line: prints something else:"
      diff "$files.expected" "$files.out" | head -n 20 || true
      failed=1
    fi
  done < "$folder.list"
done
echo "$run blocks of commands were run."
((run > 0)) || exit 75
exit $failed
