"""Random requests of KV version 2, from a seed: mostly what clients send, with a share of what nobody should.

An episode has a mount of its own and a handful of secrets in it, so that requests meet: versions are written, put aside,
brought back, erased, and asked for in between.
"""

import json
import random
from dataclasses import dataclass, field

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: str = ""
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    # The secret that it is about; nothing where it is about the mount.
    key: str | None = None

    @property
    def target(self):
        return f"/v1/{self.path}" + (f"?{self.query}" if self.query else "")

    def __str__(self):
        headers = "".join(f" -H '{name}: {value}'" for name, value in self.headers.items())
        body = f" -d '{self.body.decode(errors='backslashreplace')}'" if self.body else ""
        return f"{self.method} {self.target}{headers}{body}"


# As they go over the wire.
NAMES = (
    ["a", "b", "folder/a", "folder/b", "folder/deeper/c", "folder", "config", "data", "metadata/a"]
    + ["a%20b", "a+b", "a%2Bb", "folder%2Fa", "%C3%BC", "x.y", "a..b", "-", "~t", "a%25b", "a:b@c=d", "a%3Fb", "a,b"]
    + ["CAPITAL", "capital", "1", "0", "a;b", "a&b", "a'b", "a(b)", "a*b", "a!b", "a$b", "a%22b", "a%5Cb", "a%23b"]
)
ODD_NAMES = ["", "a/", "folder/", "/a", "folder//a", "a/../b", "./a", "..", "a%00b", "a%0Ab", "%20", "a%20/b", "a%2F"]
VALUES = (
    [{"k": "v"}, {"user": "u", "password": "p"}, {"a": {"b": {"c": 1}, "d": [1, 2]}}, {}, {"n": 1, "t": True}]
    + [{"null": None, "list": [], "object": {}}, {"ü": "ß", "": "empty"}, {"a": None}, {"deep": {"er": {"x": None}}}]
    + [{"long": "x" * 300}, {"big": 12345678901234567890}, {"a": {"b": None}}, {"list": [{"x": 1}, None]}]
)
ODD_VALUES = [None, "text", [], [1], 1, True, "", {"data": 1}]
CAS = [0, 0, 1, 1, 2, 3, 4]
ODD_CAS = ["1", "0", -1, 1.5, None, True, "x", [], {}, "", 99, 2**63, "1.0", " 1"]
NUMBERS = ["1", "1", "1", "2", "2", "3", "4", "5"]
ODD_NUMBERS = ["0", "-1", "99", "abc", "1.5", "", "01", "1e0", "0x1", "true", "1,2", "18446744073709551616", "+1", "%201"]
BOOLEANS = [True, False]
ODD_BOOLEANS = ["true", "false", "1", "0", 1, 0, 2, -1, "T", "F", "t", "f", "TRUE", "yes", "no", "on", "", None, 1.0, []]
QUERY_BOOLEANS = ["true", "true", "true", "1", "false", "0", "T", "yes", "", "TRUE", "t", "2"]
SPANS = ["0s", "1h", "90m", "1h30m", "24h", "720h", "-1s"]
ODD_SPANS = [
    *("3600", 3600, 0, "", None, "1d", "7d", "abc", "1.5h", "1h 30m", -1, "-5m", True, [], {}, "1w", "10", 1.5, "1y"),
    *("2562048h", "99999999999h", "1ms", "1us", "s", "h", "0", "-0s", "+1h"),
]
LIMITS = [0, 1, 2, 3, 5, 10]
ODD_LIMITS = ["3", "0", -1, 1.5, None, True, "x", "", [], {}, 10.0, "2.0"]
CUSTOM = [{"a": "b"}, {"owner": "billing", "team": "x"}, {}, {"ü": "ß"}, {"a": ""}]
ODD_CUSTOM = [
    *(None, {"a": 1}, {"a": None}, {"a": True}, {"a": ["x"]}, {"a": {"b": "c"}}, [], "a=b", 1, {"": "x"}, "", ["a=b"]),
    *({"k" * 128: "v"}, {"k" * 129: "v"}, {"k": "v" * 512}, {"k": "v" * 513}, {str(n): "v" for n in range(65)}),
    *({"a": 1.5}, {"a": "b\n"}, {"a\t": "b"}, [{"a": "b"}], {"a": 12345678901234567890}),
]
VERSIONS = [[1], [1], [2], [1, 2], [3], [2, 3], [1, 2, 3]]
ODD_VERSIONS = [
    *("1", "1,2", [], ["1"], ["1", 2], [1.5], [-1], [0], [None], "abc", {}, 1, "", None, [99], ["x"], [True], [[1]]),
    *([1, 1], "1, 2", ",", [2**31], [2**63], ["1.0"], [1.0]),
]
ODD_BODIES = [b"", b"{", b"[]", b"null", b'"text"', b"1", b"{}{}", b"{} x", b"\xff", b'{"data":{"a":1,"a":2}}', b" {} "]
METHODS = ["GET", "PUT", "POST", "PATCH", "DELETE", "LIST", "SCAN", "HEAD"]


def nothing(span):
    return not span or span in ("0s", "-0s", "0")


def canonical(key):
    return "/".join(part for part in key.replace("%2F", "/").split("/") if part)


class Episode:
    def __init__(self, seed, number, odd):
        self.random = random.Random(f"{seed}/{number}")
        self.mount = f"m{number}"
        self.odd = odd
        self.names = self.random.sample(NAMES, 4) + ["a", "folder/a"]
        # Where both have a limit of versions, the servers differ on purpose in whose counts, and it shows much later.
        self.limited = self.random.choice(["mount", "key"])

    def pick(self, usual, odd):
        """Something usual, or now and then something odd."""
        return self.random.choice(odd if self.random.random() < self.odd else usual)

    def retire(self, key):
        """The two servers no longer agree on a secret, whatever its spelling; gives what to delete on both."""
        key = canonical(key)
        self.names = [name for name in self.names if canonical(name) != key] or [f"fresh-{self.random.randrange(10**6)}"]
        return Request("DELETE", f"{self.mount}/metadata/{key}")

    def maybe(self, chance):
        return self.random.random() < chance

    def request(self):
        makers = {
            self.write: 20,
            self.read: 18,
            self.patch: 8,
            self.delete_latest: 4,
            self.versions: 12,
            self.read_metadata: 8,
            self.write_metadata: 10,
            self.patch_metadata: 6,
            self.delete_metadata: 2,
            self.list: 9,
            self.subkeys: 6,
            self.config: 5,
            self.mounts: 4,
            self.anything: 6,
        }
        return self.random.choices(list(makers), list(makers.values()))[0]()

    def key(self):
        # Odd names tell a lot the first time, and nothing new later.
        if self.random.random() < self.odd / 3:
            return self.random.choice(ODD_NAMES)
        return self.random.choice(self.names)

    def about(self, method, kind, *, query="", body=None, headers=None):
        key = self.key()
        if self.random.random() < self.odd / 8:
            key += "/"
        return self.sent(method, f"{self.mount}/{kind}/{key}", query, body, headers, key)

    def sent(self, method, path, query="", body=None, headers=None, key=None):
        headers = dict(headers or {})
        data = b""
        if body is not None:
            data = json.dumps(body).encode()
            if self.random.random() < self.odd / 6:
                data = self.random.choice(ODD_BODIES)
            if "Content-Type" not in headers:
                kind = self.pick([JSON, JSON, None], ["text/plain", "application/octet-stream", "application/xml", "x"])
                if kind:
                    headers["Content-Type"] = kind
        return Request(method, path, query, headers, data, key)

    def fields(self, usual):
        """An object with some of these fields; each is (name, usual values, odd values)."""
        body = {name: self.pick(good, odd) for name, good, odd in usual if self.maybe(0.45)}
        if self.random.random() < self.odd / 4:
            body[self.random.choice(["unknown", "version", "data", "options", "path"])] = self.random.choice(
                [1, "x", None, [], {}, True]
            )
        return body

    def write(self):
        body = {"data": self.pick(VALUES, ODD_VALUES)}
        if self.maybe(0.4):
            body["options"] = {"cas": self.pick(CAS, ODD_CAS)} if self.maybe(0.8) else self.pick([{}], ODD_VALUES)
        if self.random.random() < self.odd / 4:
            body["version"] = self.random.choice([1, "1", "abc", None, [], {}, -1, 1.5, True, ""])
        if self.random.random() < self.odd / 8:
            del body["data"]
        return self.about(self.random.choice(["PUT", "POST"]), "data", body=body)

    def version_query(self):
        if self.maybe(0.6):
            return ""
        query = "version=" + self.pick(NUMBERS, ODD_NUMBERS)
        if self.random.random() < self.odd / 5:
            query += self.random.choice(["&version=2", "&unknown=1", "&list=true", "&scan=true", "&", "&=", "&list=false"])
        return query

    def read(self):
        return self.about("GET", "data", query=self.version_query())

    def patch(self):
        body = {"data": self.pick(VALUES, ODD_VALUES)}
        if self.maybe(0.4):
            body["options"] = {"cas": self.pick(CAS, ODD_CAS)} if self.maybe(0.9) else self.pick([{}], ODD_VALUES)
        if self.random.random() < self.odd / 8:
            del body["data"]
        return self.about("PATCH", "data", body=body, headers=self.patch_type())

    def patch_type(self):
        kind = self.pick(
            [MERGE_PATCH], [f"{MERGE_PATCH}; charset=utf-8", "text/plain", "", "application/json-patch+json", MERGE_PATCH.upper()]
        )
        return {"Content-Type": kind}

    def delete_latest(self):
        return self.about("DELETE", "data", query=self.version_query() if self.maybe(self.odd) else "")

    def versions(self):
        body = {"versions": self.pick(VERSIONS, ODD_VERSIONS)}
        if self.random.random() < self.odd / 8:
            body = {}
        kind = self.random.choice(["delete", "undelete", "destroy"])
        return self.about(self.random.choice(["PUT", "POST"]), kind, body=body)

    def read_metadata(self):
        return self.about("GET", "metadata", query=self.version_query() if self.maybe(self.odd) else "")

    def metadata(self):
        return self.fields(
            [
                *([("max_versions", LIMITS, ODD_LIMITS)] if self.limited == "key" else []),
                ("cas_required", [False, False, False, True], ODD_BOOLEANS),
                ("delete_version_after", SPANS, ODD_SPANS),
                ("custom_metadata", CUSTOM, ODD_CUSTOM),
                *([("metadata_cas", CAS, ODD_CAS)] if self.maybe(0.15) else []),
                *([("metadata_cas_required", [False], ODD_BOOLEANS)] if self.maybe(0.15) else []),
            ]
        )

    def write_metadata(self):
        return self.about(self.random.choice(["PUT", "POST"]), "metadata", body=self.metadata())

    def patch_metadata(self):
        # OpenBao does not take a life span away by a patch, and that shows much later.
        body = {name: value for name, value in self.metadata().items() if not (name == "delete_version_after" and nothing(value))}
        return self.about("PATCH", "metadata", body=body, headers=self.patch_type())

    def delete_metadata(self):
        return self.about("DELETE", "metadata")

    def list(self):
        method, query = self.random.choice([("LIST", []), ("LIST", []), ("GET", ["list"]), ("SCAN", []), ("GET", ["scan"])])
        query = [f"{name}={self.pick(['true'], QUERY_BOOLEANS)}" for name in query]
        if self.maybe(0.3):
            query.append("after=" + self.pick(["a", "b", "folder/", "folder"], ["", "zzz", "%20", "a+b", "a%2Bb", "/", "A"]))
        if self.maybe(0.3):
            query.append("limit=" + self.pick(["1", "2", "5"], ["0", "-1", "x", "", "1.5", "99999999999999999999"]))
        kind = self.random.choice(["metadata", "metadata", "metadata", "detailed-metadata"])
        if self.random.random() < self.odd / 3:
            kind = self.random.choice(["data", "subkeys", "config", "delete", "undelete", "destroy"])
        folder = self.pick(["", "/", "/folder", "/folder/", "/folder/deeper/"], ["/none", "/a", "//", "/folder//", "/."])
        return self.sent(method, f"{self.mount}/{kind}{folder}", "&".join(query))

    def subkeys(self):
        query = []
        if self.maybe(0.3):
            query.append("version=" + self.pick(NUMBERS, ODD_NUMBERS))
        if self.maybe(0.4):
            query.append("depth=" + self.pick(["0", "1", "2"], ODD_NUMBERS))
        return self.about("GET", "subkeys", query="&".join(query))

    def config(self):
        if self.maybe(0.4):
            return self.sent("GET", f"{self.mount}/config")
        body = self.fields(
            [
                *([("max_versions", LIMITS, ODD_LIMITS)] if self.limited == "mount" else []),
                ("cas_required", [False], ODD_BOOLEANS),
                ("delete_version_after", SPANS, ODD_SPANS),
                *([("metadata_cas_required", [False], ODD_BOOLEANS)] if self.maybe(0.1) else []),
            ]
        )
        return self.sent(self.random.choice(["PUT", "POST"]), f"{self.mount}/config", body=body)

    def mounts(self):
        own = self.mount
        choice = self.random.randrange(9)
        if choice == 0:
            return self.sent("GET", f"sys/mounts/{own}")
        if choice == 1:
            return self.sent("GET", f"sys/mounts/{own}/tune")
        if choice == 2:
            body = self.fields(
                [
                    ("description", ["one", ""], [1, None, [], True]),
                    ("default_lease_ttl", ["1h", "0s", ""], [3600, "x", -1, None]),
                    ("max_lease_ttl", ["24h"], ["x", None]),
                    ("options", [{"version": "2"}, {}], [None, {"version": "3"}, {"version": 2}, "x", {"a": "b"}]),
                ]
            )
            return self.sent("POST", f"sys/mounts/{own}/tune", body=body)
        if choice == 3:
            body = {"type": self.pick(["kv-v2", "kv"], ["", None, "nothing", 1])}
            return self.sent("POST", f"sys/mounts/{own}" + self.random.choice(["", "/", "/below", "/data"]), body=body)
        if choice == 4:
            return self.sent("GET", f"sys/internal/ui/mounts/{own}/{self.key()}")
        if choice == 5:
            return self.sent("GET", f"sys/mounts/{own}-none" + self.random.choice(["", "/tune"]))
        if choice == 6:
            return self.sent("GET", f"sys/internal/ui/mounts/{own}-none/a")
        if choice == 7:
            paths = [f"{own}/data/a", f"{own}/metadata/*"][: self.random.randint(0, 2)]
            return self.sent("POST", "sys/capabilities-self", body={"paths": paths or self.random.choice([None, "x", []])})
        return self.sent("DELETE", f"sys/mounts/{own}-none")

    def anything(self):
        """Any method at any address of the mount."""
        method = self.random.choice(METHODS)
        kinds = ["data", "metadata", "delete", "undelete", "destroy", "subkeys", "config", "detailed-metadata", "nothing", ""]
        kind = self.random.choice(kinds)
        path = "/".join(part for part in (self.mount, kind, self.key() if kind != "config" else "") if part)
        body = self.random.choice([None, {}, {"data": {"k": "v"}}, {"versions": [1]}]) if method in ("PUT", "POST", "PATCH") else None
        headers = self.patch_type() if method == "PATCH" else {}
        query = self.random.choice(["", "", "list=true", "list=false", "scan=true", "version=1", "help=1"])
        return self.sent(method, path, query, body, headers, key=path.rpartition("/")[2] or None)
