#!/bin/sh
# Puts the programs of controller and invoker into /programs: built, where there is a Rust toolchain, else
# found. Where packages come through a proxy with a certificate authority of its own, `extra-ca.crt` has it.
set -eu
if command -v cargo > /dev/null; then
  if [ -e extra-ca.crt ]; then export CARGO_HTTP_CAINFO="$PWD/extra-ca.crt"; fi
  cargo build --release --locked --package controller --package invoker --package admin
  BINARIES=target/release
fi
mkdir /programs
for program in oxwhisk-controller oxwhisk-invoker wskadmin; do
  if ! cp "$BINARIES/$program" /programs; then
    echo "$BINARIES holds no $program: run cargo build --release -p controller -p invoker -p admin" >&2
    exit 1
  fi
done
