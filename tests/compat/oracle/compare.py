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


class Comparison:
    """What came of the requests so far."""

    def __init__(self, okmsd, bao):
        self.okmsd, self.bao = okmsd, bao
        self.used, self.unexplained, self.statuses = collections.Counter(), [], collections.Counter()
        # An episode to show whole.
        self.trace = os.environ.get("TRACE")

    def play(self, seed, number):
        """One episode, in a mount of its own; how many requests it had."""
        episode = Episode(seed, number, odd=0.0 if number % 4 == 0 else 0.25)
        enable = Request("POST", f"sys/mounts/{episode.mount}", body=b'{"type": "kv-v2"}')
        for server in (self.okmsd, self.bao):
            server.ask(enable)
            ready(server, episode.mount)
        sent = 0
        while sent < 45:
            sent += 1
            request = episode.request()
            if not self.ask(seed, episode, request):
                continue
            # They may no longer hold the same.
            if request.key is None and request.method not in ("GET", "LIST", "SCAN", "HEAD"):
                break
            if request.key is not None:
                gone = episode.retire(request.key)
                for server in (self.okmsd, self.bao):
                    server.ask(gone)
        for server in (self.okmsd, self.bao):
            server.ask(Request("DELETE", f"sys/mounts/{episode.mount}", query="force=true"))
        return sent

    def ask(self, seed, episode, request):
        """Whether the answers differ in more than words."""
        ours, theirs = self.okmsd.ask(request), self.bao.ask(request)
        self.statuses[theirs.status] += 1
        what = differences(ours, theirs)
        if self.trace == episode.mount:
            print(f"{request}\n  okmsd:   {ours}\n  OpenBao: {theirs}")
        if what:
            why = next((rule for rule in ALLOWED if rule.explains(request, ours, theirs, what)), None)
            if why:
                self.used[why] += 1
            else:
                self.unexplained.append((seed, what, request, ours, theirs))
        return what & {"status", "body"}


def main():
    seeds, wanted = os.environ.get("SEED", "1").split(), int(os.environ.get("REQUESTS", "3000"))
    tls = ssl.create_default_context(cafile=os.environ["VAULT_CACERT"])
    tls.load_cert_chain(os.environ["VAULT_CLIENT_CERT"], os.environ["VAULT_CLIENT_KEY"])
    okmsd = Server(os.environ["KMS_RESTAPI_ENDPOINT"], {}, tls)
    bao = Server(os.environ["BAO_ADDR"], {"X-Vault-Token": os.environ["BAO_TOKEN"]})
    comparison = Comparison(okmsd, bao)
    for seed in seeds:
        sent, number = 0, 0
        while sent < wanted / len(seeds):
            number += 1
            sent += comparison.play(seed, number)
        print(f"SEED={seed}: {sent} requests, in {number} episodes")
    page = (Path(__file__).parents[3] / "docs/COMPATIBILITY.md").read_text()
    missing = [rule.row for rule in ALLOWED if f"\n| {rule.row} |" not in page]
    for seed, what, request, ours, theirs in comparison.unexplained:
        print(f"DIFFERENT (SEED={seed}; {', '.join(sorted(what))}): {request}\n  okmsd:   {ours}\n  OpenBao: {theirs}")
        if "body" in what:
            print("  in:      " + "; ".join(where(ours.shown, theirs.shown))[:600])
    print(f"OpenBao's statuses: {dict(sorted(comparison.statuses.items(), key=str))}")
    for rule, times in comparison.used.most_common():
        print(f"  {times:5} differ as written: {rule.row}")
    print(f"  {len(comparison.unexplained):5} differ without a reason")
    for row in missing:
        print(f"docs/COMPATIBILITY.md has no row that begins with: {row}")
    # Not every seed meets all of them; a rule that none meets has had its day.
    print(f"  met nothing: {', '.join(rule.row for rule in ALLOWED if rule not in comparison.used) or 'none'}")
    sys.exit(bool(comparison.unexplained or missing))


if __name__ == "__main__":
    main()
