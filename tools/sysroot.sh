#!/usr/bin/env bash
# Unpacks development packages of an architecture, and the libraries that they
# belong to, into a folder: what a cross build links. Nothing is installed, so
# this needs neither root nor a change of the machine's configuration.
#
#   tools/sysroot.sh ARCHITECTURE FOLDER PACKAGE...
#   tools/sysroot.sh arm64 build/sysroot/aarch64 libhwy-dev
set -euo pipefail

architecture=$1
folder=$2
shift 2

list="$architecture $*"
if [[ -f "$folder/packages" && "$(< "$folder/packages")" == "$list" ]]; then
  exit 0
fi
echo "Unpacking into $folder: $list"
rm -rf "$folder"
mkdir -p "$folder"

# apt with its own state, for that architecture and the machine's sources.
apt=$(mktemp -d)
trap 'rm -rf "$apt"' EXIT
mkdir -p "$apt"/{lists/partial,archives/partial,packages}
options=(
  -o "APT::Architecture=$architecture"
  -o "APT::Architectures=$architecture"
  -o "APT::Sandbox::User="
  -o "Dir::State::Lists=$apt/lists"
  -o "Dir::State::status=/dev/null"
  -o "Dir::Cache=$apt"
)
apt-get -q "${options[@]}" update
packages=("$@")
for package in "$@"; do
  # A library is a dependency of exactly the same version.
  mapfile -t -O "${#packages[@]}" packages < <(
    apt-cache "${options[@]}" show --no-all-versions "$package" |
      sed -n 's/^Depends: //p' | tr ',' '\n' | sed -n 's/^ *\([^ ]*\) (= .*/\1/p')
done
(cd "$apt/packages" && apt-get -q "${options[@]}" download "${packages[@]}")
for package in "$apt"/packages/*.deb; do
  dpkg-deb -x "$package" "$folder"
done
echo "$list" > "$folder/packages"
