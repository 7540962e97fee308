#!/bin/sh
# library_layout.sh LIBRARY NEEDED...: whether systems with pages of 16 KiB can
# load a shared library (https://developer.android.com/guide/practices/page-sizes),
# and whether it wants no other libraries than those named.
set -eu

library=$1
shift
status=0

alignments=$(readelf -lW "$library" | awk '$1 == "LOAD" { print $NF }')
echo "alignment of segments: $(echo "$alignments" | tr '\n' ' ')"
for alignment in ${alignments:-0}; do
  if [ $((alignment)) -lt 16384 ]; then
    echo "a segment is aligned to $alignment: less than 16384"
    status=1
  fi
done

needed=$(readelf -dW "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
echo "needed libraries: $(echo "$needed" | tr '\n' ' ')"
for name in $needed; do
  case " $* " in
    *" $name "*) ;;
    *)
      echo "$name is not one of: $*"
      status=1
      ;;
  esac
done
exit "$status"
