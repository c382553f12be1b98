"""Sends the same requests to okmsd and to OpenBao, and compares status, content type and body."""

import collections
import http.client
import json
import os
import re
import ssl
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from allowed import ALLOWED
from generate import Episode, Request

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")


class Server:
    """One of the two, over one connection."""

    def __init__(self, url, headers, tls=None):
        self.target, self.headers = urlsplit(url), headers
        if self.target.scheme == "https":
            self.connection = http.client.HTTPSConnection(self.target.netloc, timeout=20, context=tls)
        else:
            self.connection = http.client.HTTPConnection(self.target.netloc, timeout=20)

    def ask(self, request):
        try:
            self.connection.request(request.method, request.target, request.body or None, {**self.headers, **request.headers})
            answer = self.connection.getresponse()
            return Answer(answer.status, answer.headers.get("Content-Type"), answer.read())
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            return Answer(None, None, f"{type(error).__name__}: {error}".encode())


class Answer:
    def __init__(self, status, kind, body):
        self.status, self.kind, self.body = status, kind, body
        try:
            self.json = json.loads(body) if body else None
        except ValueError:
            self.json = body.decode(errors="replace")
        self.shown = plain(self.json)

    @property
    def errors(self):
        return self.json.get("errors") or [] if isinstance(self.json, dict) else []

    def same(self, other):
        return (self.status, self.kind, self.shown) == (other.status, other.kind, other.shown)

    def __str__(self):
        return f"{self.status} {self.kind} {self.body.decode(errors='replace')[:600].strip()}"


def plain(value, name=None):
    """What of an answer does not differ from one run, or one server, to the next."""
    if isinstance(value, dict):
        # Ours alone: the members of OVHcloud's errors, and the ninth of Vault's envelope.
        gone = {"request_id", "error_id", "error_code", "mount_type", "urn"}
        members = {key: plain(member, key) for key, member in value.items() if key not in gone}
        # A deleted version: an envelope that is an error of OVHcloud as well.
        if "data" in members and members.get("errors") == []:
            del members["errors"]
        return members
    if isinstance(value, list):
        return [plain(member) for member in value]
    if isinstance(value, str):
        if TIME.match(value):
            return "<time>"
        if name in ("uuid", "accessor"):
            return "<id>"
        if name in ("running_plugin_version",):
            return "<version>"
    return value


def differences(ours, theirs):
    """In which respects: status, kind, text (of the error), body."""
    what = set()
    if ours.status != theirs.status:
        what.add("status")
    elif ours.shown != theirs.shown:
        what.add("text" if ours.errors and theirs.errors else "body")
    if ours.kind != theirs.kind and ours.status == theirs.status:
        what.add("type")
    return what


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
    page = (Path(__file__).parents[3] / "docs/COMPATIBILITY.md").read_text()
    missing = [rule.row for rule in ALLOWED if f"\n| {rule.row} |" not in page]
    # With other seeds some meet nothing that they explain.
    idle = [rule.row for rule in ALLOWED if rule not in used] if "SEED" not in os.environ else []
    for what, request, ours, theirs in unexplained:
        print(f"DIFFERENT ({', '.join(sorted(what))}): {request}\n  okmsd:   {ours}\n  OpenBao: {theirs}")
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
