"""The two servers, what they answer, and in what two answers differ."""

import http.client
import json
import re
from urllib.parse import urlsplit

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


def where(ours, theirs, path=""):
    """The members in which two bodies differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted(ours.keys() | theirs.keys()):
            if name not in ours or name not in theirs:
                yield f"{path}.{name} is in {'okmsd' if name in ours else 'OpenBao'} alone"
            else:
                yield from where(ours[name], theirs[name], f"{path}.{name}")
    elif ours != theirs:
        yield f"{path} is {ours!r} and {theirs!r}"
