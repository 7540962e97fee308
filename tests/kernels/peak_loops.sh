#!/usr/bin/env bash
# peak_loops.sh OBJDUMP LIBRARY: the loops that measure the peak of int8 dot
# products and of fused multiply-adds are nothing else. A compiler's copies made
# the peak of AVX-512 VNNI a third too low, and every share of it too high.
set -euo pipefail

# "INSTRUCTIONS PRODUCTS SYMBOL" of the loop of each function RunChains that has
# such products: what its jump back spans.
loops=$("$1" -d -C --no-show-raw-insn "$2" | awk '
  /^[0-9a-f]+ <.*RunChains<.*>:$/ {
    symbol = $0
    sub(/^[0-9a-f]+ </, "", symbol); sub(/>:$/, "", symbol)
    n = 0; inside = 1; delete where; next
  }
  /^$/ { inside = 0 }
  inside && /^ *[0-9a-f]+:/ {
    place = $1; sub(/:$/, "", place)
    line[n] = $0; where[place] = n
    if ($2 ~ /^j/ && $3 in where) {
      first = where[$3]; products = 0
      for (i = first; i <= n; ++i) products += line[i] ~ /dpbusd|vfmadd/
      if (products > 0) print n - first + 1, products, symbol
    }
    ++n
  }')

count=0
failed=0
while read -r instructions products symbol; do
  [ -n "$symbol" ] || continue
  count=$((count + 1))
  # Two or three count rounds and jump.
  if ((instructions > products + 3)); then
    echo "$symbol: $instructions instructions for $products products"
    failed=1
  fi
done <<<"$loops"
echo "$count loops"
((count > 0 && failed == 0))
