#!/usr/bin/env bash
# Makes Debian packages in build/package: lutra (the command), liblutra... (the
# shared library) and liblutra-dev (headers, static libraries, CMake and
# pkg-config files).
#
#   scripts/package.sh          builds and packs
#   scripts/package.sh check    also installs the packages in a system of their own
#                               (debootstrap; needs root), packs and runs a model
#                               there, and builds the example of the C API
#
# The exit status is 75 where there can be no such system.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
  "" | check) ;;
  *) echo "package.sh: unknown argument '$1'" >&2; exit 2 ;;
esac
scripts/setup.sh package
build=build/package
cmake --preset release -B "$build" -DCMAKE_INSTALL_PREFIX=/usr -DLUTRA_MPI=OFF \
  -DBUILD_SHARED_LIBS=ON -DLUTRA_BUILD_TESTS=OFF -DLUTRA_BUILD_BENCH=OFF
cmake --build "$build"
rm -f "$build"/*.deb
(cd "$build" && cpack)
ls -l "$build"/*.deb
[[ "${1:-}" == check ]] || exit 0

if ((EUID != 0)); then
  echo "package.sh: installing in a system of its own needs root" >&2
  exit 75
fi
root=$PWD/$build/root
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
if [[ ! -e "$root/etc/debian_version" ]]; then
  rm -rf "$root"
  debootstrap --variant=minbase "$release" "$root" > "$build/debootstrap.log" ||
    exit 75
fi
cp /etc/apt/sources.list "$root/etc/apt/" 2>/dev/null || true
cp -r /etc/apt/sources.list.d /etc/apt/apt.conf.d "$root/etc/apt/"
cp /etc/resolv.conf "$root/etc/"
rm -rf "$root/try"
mkdir "$root/try"
cp "$build"/*.deb examples/generate.c "$root/try/"
inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive "$@"; }
inside apt-get update -qq
inside apt-get install -y -qq --no-install-recommends --reinstall \
  $(cd "$root" && ls try/*.deb | sed 's|^|/|') gcc libc6-dev pkg-config > /dev/null
inside sh -euc '
  cd /try
  lutra --version
  lutra synth --like stories260k --bits 2 --group-size 32 -o model.safetensors
  lutra inspect model.safetensors
  man=/usr/share/man/man1/lutra.1; test -e $man || test -e $man.gz
  cc generate.c -o generate $(pkg-config --cflags --libs lutra)
  ldd generate | grep liblutra
'
echo "The packages can be installed and used in $release."
