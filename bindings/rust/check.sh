#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# bindings/rust/check.sh DIR OBJECT...: build bindings/rust into DIR, without any
# network, and test it. OBJECTs are those of test_contract, for the port of
# functions: they are linked with the port in Rust.
#
#   bindings   aspen-sys is what bindgen makes of the headers
#   format     rustfmt has nothing to say
#   release    the safe layer over the core's release build, without std
#   tests      cargo test
#   example    what it prints is what docs/use/rust.md shows
#   contract   the port in Rust
set -u
cd "$(dirname "$0")/../.." || exit 2
mkdir -p "${1:?usage: check.sh DIR OBJECT...}" || exit 2
dir=$(realpath "$1")
shift
objects=$(realpath "$@")
. scripts/check/lib.bash
log=$dir/log
rust=bindings/rust
# Debian's, if there are others.
export PATH=/usr/bin:$PATH
export CARGO_TARGET_DIR=$dir CARGO_NET_OFFLINE=true

for tool in rustc cargo; do
    command -v $tool >/dev/null ||
        skip_all check-rust "no $tool: make deps GROUP=rust"
done

cargo_in()
{
    (cd $rust && cargo "$@" --offline --locked)
}


if command -v bindgen >/dev/null && command -v rustfmt >/dev/null &&
    [ "$(bindgen --version)" = 'bindgen 0.60.1' ]; then
    try bindings $rust/generate.sh --check
    try format rustfmt --check --edition 2021 \
        $rust/aspen{-sys,,-std-port}/src/lib.rs $rust/aspen-sys/build.rs \
        $rust/aspen/{tests,examples}/*.rs
else
    skip bindings 'no bindgen 0.60.1 with rustfmt: make deps GROUP=rust'
    skip format 'the same'
fi
try release cargo_in build -p aspen

# Each of cargo's tests counts.
if cargo_in test >"$dir/tests" 2>&1; then
    passed=$((passed + $(awk '/^test result: ok/ {n += $4} END {print n + 0}' "$dir/tests")))
    echo "ok   tests"
else
    failed=$((failed + 1))
    echo "FAIL tests"
    tail -n 60 "$dir/tests"
fi

example()
{
    cargo_in run -q -p aspen --example fork --features failpoints >"$dir/example" &&
        awk '$0 == "<!-- output of bindings/rust/aspen/examples/fork.rs -->" {found = 1; next}
            found && /^```/ {if (on) exit; on = 1; next}
            on' docs/use/rust.md | diff - "$dir/example"
}
try example example

contract()
{
    cargo_in build -p aspen-std-port --features failpoints &&
        ${CC:-cc} -o "$dir/contract" $objects "$dir/debug/libaspen_std_port.a" \
            -lcmocka -lpthread -ldl -lm &&
        timeout 120 "$dir/contract"
}
try contract contract
finish
