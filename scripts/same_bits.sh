#!/usr/bin/env bash
# Outputs that lutra defines to the bit, on every platform that it is built for
# here: builds and runs tests/kernels/digest_test.cc and
# tests/runtime/digest_test.cc, and prints a table of what they give. Ends with 1
# if a digest differs from the recorded one, or is missing.
#
#   scripts/same_bits.sh                  all but highway; those without a compiler
#                                         here are named and left out
#   scripts/same_bits.sh native riscv64   some of: native clang highway aarch64
#                                         armhf i386 riscv64 windows musl
#                                         musl-arm64 web
#
# native, clang and highway are this machine: the usual build, one by clang, and
# one with the release of Highway that lutra pins, of its sources in the folder
# LUTRA_HIGHWAY, or fetched. Logs are in build/same_bits.
set -euo pipefail
cd "$(dirname "$0")/.."

platforms=("$@")
((${#platforms[@]})) || platforms=(native clang aarch64 armhf i386 riscv64 windows musl web)
logs=build/same_bits
rm -rf "$logs"
mkdir -p "$logs"
lines=$logs/lines  # platform|compiler|Highway|name variant digest
builds=0

# Digests of a preset's build, under the name of a platform, into `lines`.
digests_of() {
  local platform=$1 preset=$2 log=$logs/$2.log
  echo "$platform: preset $preset" >&2
  ((++builds))
  {
    cmake --preset "$preset" &&
      cmake --build --preset "$preset" \
        --target kernels_digest_test runtime_digest_test
  } > "$log" 2>&1 || {
    tail -n 30 "$log" >&2
    return 1
  }
  # What differs shows in the table, and ctest's words in the log.
  ctest --test-dir "build/$preset" -V -R '^(DigestTest|.*_digest_test)\.' \
    2>&1 | tr -d '\r' >> "$log" || echo "$platform: failed, see $log" >&2
  local compiler highway
  compiler=$(sed -n 's/^set(CMAKE_CXX_COMPILER_\(ID\|VERSION\) "\(.*\)")/\2/p' \
    "build/$preset"/CMakeFiles/*/CMakeCXXCompiler.cmake | paste -s -d ' ')
  highway=$(sed -n 's/^[0-9]*: highway: //p' "$log" | sort -u)
  sed -n "s/^[0-9]*: digest: /$platform|$compiler|$highway|/p" "$log" >> "$lines"
}

scripts/setup.sh test
for platform in "${platforms[@]}"; do
  case "$platform" in
    native) digests_of "$(uname -m)" release ;;
    clang | highway)
      [[ "$platform" == highway ]] || scripts/setup.sh clang
      digests_of "$(uname -m)" "$platform"
      ;;
    *)
      status=0
      scripts/platform.sh "$platform" >&2 || status=$?
      case "$status" in
        0) digests_of "$platform" "$platform" ;;
        75) echo "$platform: left out" >&2 ;;
        *) exit "$status" ;;
      esac
      ;;
  esac
done

awk -F '[| ]' -v missing="$builds" '
  function cell(digest) { return digest == "" ? "none" : "`" digest "`" }
  # Compilers have two words: their name and their version.
  {
    platform = $1; compiler = $2 " " $3; highway = $4; name = $5; variant = $6
    sub(/^GNU/, "g++", compiler)
    sub(/^Clang/, "clang", compiler)
    if (variant == "recorded") {
      if (name in recorded && recorded[name] != $7) bad = 1
      recorded[name] = $7
      next
    }
    row = platform " | " compiler " | " highway " | " variant
    if (!(row in seen)) order[++rows] = row
    seen[row]
    if (!(platform compiler highway in found)) --missing
    found[platform compiler highway]
    digest[row, name] = $7
  }
  END {
    split("kernels mlp language_model", columns, " ")
    print "| platform | compiler | Highway | variant | kernels | MLP | language model | same |"
    print "|---|---|---|---|---|---|---|---|"
    line = "| as recorded | | | |"
    for (c = 1; c <= 3; ++c) line = line " " cell(recorded[columns[c]]) " |"
    print line " |"
    for (r = 1; r <= rows; ++r) {
      line = "| " order[r] " |"
      same = "yes"
      for (c = 1; c <= 3; ++c) {
        value = digest[order[r], columns[c]]
        line = line " " cell(value) " |"
        if (value == "" || value != recorded[columns[c]]) same = "no"
      }
      print line " " same " |"
      if (same == "no") bad = 1
    }
    exit bad || missing
  }' "$lines"
