# shellcheck shell=bash
# Sourced by scripts/tvm/run and scripts/tvm/with: the Python that compiles, and TVM's libraries in a place of their own.

python_home=.ml/tvm-python # TVM's compiler is 260 MB; what runs models is 6.
libraries=.ml/tvm
requirements=scripts/tvm/requirements.txt

prepare() {
  # The copy is written last: an interrupted installation is begun again.
  cmp -s "$requirements" "$libraries/installed.txt" && return
  check_machine
  printf 'installing %s in %s, 130 MB to download\n' "$requirements" "$python_home"
  python3 -m venv --clear "$python_home"
  "$python_home/bin/python" -m pip install --quiet --disable-pip-version-check \
    --require-hashes --only-binary :all: -r "$requirements"
  mkdir -p "$libraries/bin"
  cp "$python_home"/lib/python3.*/site-packages/tvm/lib/libtvm_runtime.so \
    "$python_home"/lib/python3.*/site-packages/tvm_ffi/lib/libtvm_ffi.so "$libraries"
  # Alone in its folder: the build looks for it on PATH, which shall not change what python3 is.
  ln -sf "$PWD/$python_home/bin/tvm-ffi-config" "$libraries/bin/tvm-ffi-config"
  cp "$requirements" "$libraries/installed.txt"
}

check_machine() {
  if [ "$(uname -sm)" != "Linux x86_64" ]; then
    printf 'error: models are compiled with TVM on Linux for x86-64 only, this is %s\n' "$(uname -sm)" >&2
    exit 1
  fi
  if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    printf 'error: TVM needs Python 3.11 or newer\n' >&2
    exit 1
  fi
  if ! command -v c++ >/dev/null; then
    printf 'error: there is no C++ compiler to link with\n  fix: sudo apt-get install -y g++\n' >&2
    exit 1
  fi
}
