# shellcheck shell=bash
# Sourced by scripts/demo and scripts/test: says what the machine lacks, and the line that installs it.

RUST_AT_LEAST_MINOR=94 # of Rust 1, as Cargo.toml's rust-version

check_needs() {
  local missing=0
  check_rust || missing=1
  check_linker || missing=1
  check_python || missing=1
  return "$missing"
}

check_rust() {
  local install="rustup default stable" minor
  command -v rustup >/dev/null || install="$(installing rustup rustup) && $install"
  if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
    problem "Rust is not installed" "$install"
    return 1
  fi
  minor=$(rustc --version | cut -d. -f2)
  if [ "$minor" -lt "$RUST_AT_LEAST_MINOR" ]; then
    problem "$(rustc --version) is older than 1.$RUST_AT_LEAST_MINOR" "$install && rustup update stable"
    return 1
  fi
}

check_linker() {
  command -v cc >/dev/null && return
  if is_macos; then
    problem "there is no C linker (cc)" "xcode-select --install"
  else
    problem "there is no C linker (cc)" "sudo apt-get install -y gcc libc6-dev"
  fi
  return 1
}

check_python() {
  if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; then
    problem "there is no Python 3.9 or newer (python3)" "$(installing "python3 python3-venv" python)"
    return 1
  fi
  python3 -c 'import ensurepip, venv' 2>/dev/null && return
  problem "python3 cannot make virtual environments" "$(installing python3-venv python)"
  return 1
}

# Programs look for ONNX Runtime in the folders above themselves: where cargo builds elsewhere, they are told of it.
tell_library() {
  [ -n "${CARGO_TARGET_DIR:-}${CARGO_BUILD_TARGET_DIR:-}" ] || return 0
  local library latest=
  for library in "$PWD"/.ml/onnxruntime/*/libonnxruntime.*; do
    latest=$library
  done
  export ORT_DYLIB_PATH="${ORT_DYLIB_PATH:-$latest}"
}

# check_servers: only tests need these: a Redis to kill and restart, and certificates for it.
check_servers() {
  local missing=0
  command -v redis-server >/dev/null ||
    { problem "there is no Redis (redis-server)" "$(installing redis-server redis)" && missing=1; }
  command -v openssl >/dev/null ||
    { problem "there is no OpenSSL (openssl)" "$(installing openssl openssl)" && missing=1; }
  return "$missing"
}

# installing DEBIAN_PACKAGES HOMEBREW_PACKAGES: the line that installs them.
installing() {
  if is_macos; then
    printf 'brew install %s' "$2"
  else
    printf 'sudo apt-get install -y %s' "$1"
  fi
}

is_macos() {
  [ "$(uname -s)" = Darwin ]
}

# problem WHAT FIX
problem() {
  printf 'error: %s\n  fix: %s\n' "$1" "$2" >&2
}
