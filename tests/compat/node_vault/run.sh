#!/usr/bin/env bash
# Drives a running okmsd with node-vault, node's client of Vault: KV version 2 by its paths, logins by
# certificate, tokens, mounts, wrapping, and the server's state.
#
#   source <dir of okmsd dev>/env.sh && tests/compat/node_vault/run.sh
#
# The packages go below target/compat. Exits 0 when all tests pass, 1 when one does not, 77 when node or
# node-vault cannot be had (COMPAT_STRICT=1 makes that a failure too).
set -euo pipefail

suite=node_vault
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../suite.sh
source "$here/../suite.sh"
needs_environment KMS_RESTAPI_ENDPOINT VAULT_ADDR VAULT_CACERT VAULT_CLIENT_CERT VAULT_CLIENT_KEY
node_packages "$here"

# A configuration of the person who runs this must not leak in.
unset VAULT_TOKEN VAULT_NAMESPACE VAULT_PREFIX VAULT_SKIP_VERIFY
NODE_PATH=$modules node --test-reporter=spec "$here/node_vault.test.js" </dev/null || exit 1
