"""Sends the same requests to okmsd and to OpenBao, and compares status, content type and body."""

import collections
import os
import ssl
import sys
import time
from pathlib import Path

from allowed import ALLOWED
from answers import Server, differences, where
from generate import Episode, Request


def ready(server, mount):
    """A new mount of OpenBao takes a moment."""
    request = Request("GET", f"{mount}/config")
    for _ in range(200):
        if server.ask(request).status == 200:
            return
        time.sleep(0.02)
    raise SystemExit(f"oracle: the mount {mount} does not get ready")


def main():
    seed, wanted = os.environ.get("SEED", "1"), int(os.environ.get("REQUESTS", "3000"))
    # An episode to show whole.
    trace = os.environ.get("TRACE")
    tls = ssl.create_default_context(cafile=os.environ["VAULT_CACERT"])
    tls.load_cert_chain(os.environ["VAULT_CLIENT_CERT"], os.environ["VAULT_CLIENT_KEY"])
    okmsd = Server(os.environ["KMS_RESTAPI_ENDPOINT"], {}, tls)
    bao = Server(os.environ["BAO_ADDR"], {"X-Vault-Token": os.environ["BAO_TOKEN"]})
    sent, number = 0, 0
    used, unexplained, statuses = collections.Counter(), [], collections.Counter()
    while sent < wanted:
        number += 1
        episode = Episode(seed, number, odd=0.0 if number % 4 == 0 else 0.25)
        enable = Request("POST", f"sys/mounts/{episode.mount}", body=b'{"type": "kv-v2"}')
        for server in (okmsd, bao):
            server.ask(enable)
            ready(server, episode.mount)
        for _ in range(45):
            request = episode.request()
            ours, theirs = okmsd.ask(request), bao.ask(request)
            sent += 1
            statuses[theirs.status] += 1
            what = differences(ours, theirs)
            if trace == episode.mount:
                print(f"{request}\n  okmsd:   {ours}\n  OpenBao: {theirs}")
            if not what:
                continue
            why = next((rule for rule in ALLOWED if rule.explains(request, ours, theirs, what)), None)
            if why:
                used[why] += 1
            else:
                unexplained.append((what, request, ours, theirs))
            # They may no longer hold the same.
            if what & {"status", "body"}:
                if request.key is None and request.method not in ("GET", "LIST", "SCAN", "HEAD"):
                    break
                if request.key is not None:
                    gone = episode.retire(request.key)
                    for server in (okmsd, bao):
                        server.ask(gone)
        for server in (okmsd, bao):
            server.ask(Request("DELETE", f"sys/mounts/{episode.mount}", query="force=true"))
    page = (Path(__file__).parents[3] / "docs/COMPATIBILITY.md").read_text()
    missing = [rule.row for rule in ALLOWED if f"\n| {rule.row} |" not in page]
    # With other seeds some meet nothing that they explain.
    idle = [rule.row for rule in ALLOWED if rule not in used] if "SEED" not in os.environ else []
    for what, request, ours, theirs in unexplained:
        print(f"DIFFERENT ({', '.join(sorted(what))}): {request}\n  okmsd:   {ours}\n  OpenBao: {theirs}")
        if "body" in what:
            print("  in:      " + "; ".join(where(ours.shown, theirs.shown))[:600])
    print(f"{sent} requests of seed {seed}, in {number} episodes; OpenBao's statuses: {dict(sorted(statuses.items(), key=str))}")
    for rule, times in used.most_common():
        print(f"  {times:5} differ as written: {rule.row}")
    print(f"  {len(unexplained):5} differ without a reason")
    for row in missing:
        print(f"docs/COMPATIBILITY.md has no row that begins with: {row}")
    for row in idle:
        print(f"nothing differs any more in this respect: {row}")
    sys.exit(bool(unexplained or missing or idle))


if __name__ == "__main__":
    main()
