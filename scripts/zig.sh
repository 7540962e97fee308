#!/usr/bin/env bash
# Gets the compiler of zig (https://ziglang.org) from PyPI into build/sysroot/zig:
# clang with the C and C++ libraries of systems that the distribution has none for,
# musl and macOS among them (cmake/toolchains/zig.cmake). It compiles the C++
# library of a system when that is first used, which takes minutes.
#
# The exit status is 75 where pip cannot get it.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.17.1
folder=build/sysroot/zig
if [[ -f "$folder/version" && "$(< "$folder/version")" == "$version" ]]; then
  exit 0
fi
scripts/setup.sh python
rm -rf "$folder"
/usr/bin/python3 -m venv "$folder"
"$folder/bin/python" -m pip install -q --disable-pip-version-check \
  "ziglang==$version" || {
  echo "zig.sh: pip cannot get ziglang $version, so there is no compiler for this" \
    "platform; LUTRA_CROSS_CC and LUTRA_CROSS_CXX may name another" >&2
  exit 75
}
# Programs that CMake can call: zig is one with many commands.
for command in cc c++ ar ranlib; do
  cat > "$folder/bin/$command" <<WRAPPER
#!/bin/sh
exec "\$(dirname "\$0")"/../lib/python3*/site-packages/ziglang/zig $command "\$@"
WRAPPER
  chmod +x "$folder/bin/$command"
done
echo "$version" > "$folder/version"
