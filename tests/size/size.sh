#!/bin/sh
# size.sh PROGRAM MAP SOURCES LIMIT: the bytes of PROGRAM, stripped, and a table of
# what they are, of the map that GNU ld wrote. Fails if they are more than LIMIT.
set -eu

bytes=$(wc -c < "$1")
{
  (cd "$3" && find kernels runtime -name '*.cc')
  echo
  cat "$2"
} | awk -v bytes="$bytes" '
  # Until the empty line: the folder of each source.
  !in_map && NF == 0 { in_map = 1; next }
  !in_map {
    folder = $1
    sub("/[^/]*$", "", folder)
    name = $1
    sub(".*/", "", name)
    room = folder
    sub("/.*", "", room)
    if ((room, name) in of) folder = of[room, name] ", " folder
    of[room, name] = folder
    next
  }
  # Then the map: a section and its address, size and object, in one line or two.
  /^Linker script and memory map/ { in_sections = 1 }
  !in_sections { next }
  /^ \.[^ ]+$/ { section = $1; next }
  /^ \.[^ ]+ +0x/ { Add($1, $2, $3, $4) }
  /^ +0x[0-9a-f]+ +0x[0-9a-f]+ [^ ]/ { Add(section, $1, $2, $3) }

  function Number(hex,  i, n) {
    for (i = 3; i <= length(hex); ++i) {
      n = 16 * n + index("0123456789abcdef", substr(hex, i, 1)) - 1
    }
    return n
  }
  function Add(section, address, size, object,  room, name, what) {
    if (Number(address) == 0 || section ~ /^\.(tbss|bss|comment)/) return
    room = object
    if (!sub(/.*liblutra_/, "", room)) what = "the program, tables of the linker"
    sub(/\.a\(.*/, "", room)
    name = object
    sub(/.*\(/, "", name)
    sub(/\.o\)$/, "", name)
    if (what == "" && (room, name) in of) what = of[room, name]
    if (what == "" && sub(/_[0-9]+[.]cc$/, "", name)) what = room "/" name  # LUTRA_UNITY
    if (section ~ /nlohmann/) what = "nlohmann-json"
    else if (section ~ /\._ZN?K?St|\._ZNK?9__gnu_cxx/) what = "templates of the C++ library"
    total[what] += Number(size)
    sum += Number(size)
  }
  END {
    for (what in total) printf "%9d  %s\n", total[what], what | "sort -rn"
    close("sort -rn")
    printf "%9d  the file\n", bytes
    if (sum < bytes / 2) { print "the map tells less than half"; exit 1 }
  }'
echo "limit: $4"
[ "$bytes" -le "$4" ]
