#!/usr/bin/env bash
# Whether promtool, of Prometheus, finds no fault with the metrics of a running okmsd.
#
#   OKMSD_ADMIN=http://127.0.0.1:9464 tests/compat/metrics.sh
#
# Exits 0 when it finds none, 1 when it does, 77 when promtool is missing (COMPAT_STRICT=1 makes that a failure too).
set -euo pipefail

suite=metrics
# shellcheck source=suite.sh
source "$(dirname "${BASH_SOURCE[0]}")/suite.sh"
needs_environment OKMSD_ADMIN
needs_tools curl promtool

metrics=$(curl --fail -sS --max-time 20 "$OKMSD_ADMIN/metrics")
# Nothing is right about no metrics.
(($(grep -c '^okmsd_' <<<"$metrics") > 20)) || { echo "metrics: there are hardly any:" "$metrics" >&2; exit 1; }
promtool check metrics <<<"$metrics" || exit 1
