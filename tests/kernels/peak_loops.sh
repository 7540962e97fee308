#!/usr/bin/env bash
# peak_loops.sh OBJDUMP LIBRARY: the loops that measure the peak of an int8 dot
# product or a fused multiply-add are nothing else. A compiler's copies once made
# the peak of AVX-512 VNNI a third too low, and every share of it too high.
set -euo pipefail
objdump=$1
library=$2

"$objdump" -d -C --no-show-raw-insn --no-addresses "$library" >/dev/null 2>&1 ||
  { echo "SKIPPED: $objdump cannot read this library"; exit 0; }

# Prints "symbol: instructions of the loop, products in it" for each function
# RunChains. The loop is what the last jump back spans.
"$objdump" -d -C --no-show-raw-insn "$library" | awk '
  /^[0-9a-f]+ <.*RunChains<.*>:$/ {
    symbol = $0
    sub(/^[0-9a-f]+ </, "", symbol); sub(/>:$/, "", symbol)
    n = 0; inside = 1; next
  }
  inside && /^ *[0-9a-f]+:/ {
    place = $1; sub(/:$/, "", place)
    at[n] = place; what[n] = $0
    where[place] = n
    if ($2 ~ /^j|^b\./ && ($3 in where) && where[$3] < n) {
      products = 0
      for (i = where[$3]; i <= n; ++i) {
        if (what[i] ~ /dpbusd|vfmadd|sdot|smmla|fmla/) ++products
      }
      if (products > 0) print n - where[$3] + 1, products, symbol
    }
    ++n
  }
  inside && /^$/ { inside = 0; delete where }
' >"${TMPDIR:-/tmp}/peak_loops.$$"
trap 'rm -f "${TMPDIR:-/tmp}/peak_loops.$$"' EXIT

loops=0
failed=0
while read -r instructions products symbol; do
  loops=$((loops + 1))
  # Three to count rounds and to jump.
  if ((instructions > products + 3)); then
    echo "$symbol: $instructions instructions for $products products"
    failed=1
  fi
done <"${TMPDIR:-/tmp}/peak_loops.$$"
echo "$loops loops"
((loops > 0)) || exit 1
exit "$failed"
