#!/usr/bin/env bash
# Unpacks the sources of packages of Debian or Ubuntu, those of the release, as
# their authors published them, into FOLDER/NAME: libraries that a cross build
# compiles itself. Nothing is installed.
#
#   scripts/sources.sh FOLDER NAME...
#   scripts/sources.sh build/sysroot/sources pcre2 utf8proc
set -euo pipefail

folder=$1
shift
missing=()
for name in "$@"; do
  [[ -d "$folder/$name" ]] || missing+=("$name")
done
if ((${#missing[@]} == 0)); then
  exit 0
fi
echo "Unpacking the sources of ${missing[*]} into $folder"

# apt with its own state: the machine's archives of the distribution, with
# their sources.
apt=$(mktemp -d)
trap 'rm -rf "$apt"' EXIT
mkdir -p "$apt"/{lists/partial,archives/partial,sources}
read -r system release < <(. /etc/os-release; echo "$ID $VERSION_CODENAME")
keys=/usr/share/keyrings/$system-archive-keyring.gpg
apt-get indextargets --format "deb-src [signed-by=$keys] \$(SITE) \$(RELEASE) \$(COMPONENT)" \
  'Created-By: Packages' "Origin: ${system^}" | sort -u > "$apt/sources.list"
options=(
  -o "APT::Sandbox::User="
  -o "Dir::State::Lists=$apt/lists"
  -o "Dir::State::status=/dev/null"
  -o "Dir::Cache=$apt"
  -o "Dir::Etc::sourcelist=$apt/sources.list"
  -o "Dir::Etc::sourceparts=/dev/null"
)
apt-get -q "${options[@]}" update
(cd "$apt/sources" &&
  apt-get -q "${options[@]}" source --download-only \
    "${missing[@]/%//$release}")
for name in "${missing[@]}"; do
  mkdir -p "$folder/$name.tmp"
  tar -xf "$apt/sources/$name"_*.orig.tar.* --strip-components=1 \
    -C "$folder/$name.tmp"
  mv "$folder/$name.tmp" "$folder/$name"
done
