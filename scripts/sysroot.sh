#!/usr/bin/env bash
# Unpacks development packages of an architecture, and the libraries that they
# belong to, into a folder: what a cross build links. Nothing is installed, so
# this needs neither root nor a change of the machine's configuration.
#
#   scripts/sysroot.sh ARCHITECTURE FOLDER PACKAGE...
#   scripts/sysroot.sh arm64 build/sysroot/aarch64 libhwy-dev
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

# apt with its own state, for that architecture and the machine's sources; of
# Ubuntu, whose archive has amd64 and i386 only, the host with the others.
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
read -r system release < <(. /etc/os-release; echo "$ID ${VERSION_CODENAME-}")
if [[ "$system" == ubuntu && ! "$architecture" =~ ^(amd64|i386)$ ]]; then
  keys=/usr/share/keyrings/ubuntu-archive-keyring.gpg
  for suite in "$release" "$release"-{updates,security}; do
    echo "deb [signed-by=$keys] http://ports.ubuntu.com/ubuntu-ports $suite" \
      "main universe"
  done > "$apt/sources.list"
  options+=(
    -o "Dir::Etc::sourcelist=$apt/sources.list"
    -o "Dir::Etc::sourceparts=/dev/null"
  )
fi
# Sources of other software may fail; what is missing then, `download` tells.
apt-get -q "${options[@]}" update || true
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
