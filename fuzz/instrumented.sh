#!/usr/bin/env bash
# The compiler, which lets libFuzzer see the ways through the library's code.
set -euo pipefail
compiler=$1
shift
if [[ " $* " == *" --crate-name okmsd "*" --crate-type lib "* ]]; then
    set -- "$@" -Cpasses=sancov-module
    for part in level=4 inline-8bit-counters pc-table trace-compares stack-depth; do
        set -- "$@" "-Cllvm-args=-sanitizer-coverage-$part"
    done
fi
exec "$compiler" "$@"
