"""Requests that might cost more than their size: each is sent by a tenant, alone, and held to a figure of CPU."""

import json

import http1
import net
from trial import attack

# Milliseconds of CPU. Half a megabyte of JSON is read, sealed and stored for some; honest clients' share is in it.
CPU = 50
TIMES = 3
PATIENCE = 8
KIB = 1 << 10

PATCH = ["Content-Type: application/merge-patch+json"]
MEMBERS = {f"k{number}": number for number in range(30_000)}


def data(value):
    return json.dumps({"data": value}).encode()


def raw(text):
    return b'{"data":{"v":' + text + b"}}"


def requests(tenant):
    """Name, method, path, body, headers."""
    secret, native = "/v1/secret/data/costly", f"/api/{tenant.domain}/v2/secret"
    versions = json.dumps({"versions": list(range(1, 65_000))}).encode()
    paths = json.dumps({"paths": [f"secret/data/{number:04}" + "p" * 480 for number in range(1000)]}).encode()
    long = "x" * (14 * KIB)
    return [
        ("the document", "GET", "/openapi.json", b"", ()),
        ("swagger", "GET", "/swagger/swagger-ui-bundle.js", b"", ()),
        ("many members", "POST", secret, data(MEMBERS), ()),
        ("many members, read", "GET", secret, b"", ()),
        ("many members, outline", "GET", "/v1/secret/subkeys/costly", b"", ()),
        ("many members, changed", "PATCH", secret, data({key: None for key in MEMBERS}), PATCH),
        ("many new members", "PATCH", secret, data({"n" + key: 1 for key in MEMBERS}), PATCH),
        ("one member again and again", "POST", secret, raw(b"{" + b",".join([b'"a":1'] * 60_000) + b"}"), ()),
        ("members that differ late", "POST", secret, data({"k" * 100 + str(n): 1 for n in range(4000)}), ()),
        ("many elements", "POST", secret, raw(json.dumps([1] * 65_000).encode()), ()),
        ("deep", "POST", secret, raw(b"[" * 99 + b"]" * 99), ()),
        ("too deep", "POST", secret, raw(b"[" * 250_000 + b"]" * 250_000), ()),
        ("deep members", "POST", secret, raw(b'{"a":' * 90_000 + b"1" + b"}" * 90_000), ()),
        ("a long number", "POST", secret, raw(b"1" * 500_000), ()),
        ("a long fraction", "POST", secret, raw(b"0." + b"1" * 500_000), ()),
        ("a long exponent", "POST", secret, raw(b"1e-" + b"9" * 400_000), ()),
        ("escapes", "POST", secret, raw(b'"' + rb"\u0041" * 80_000 + b'"'), ()),
        ("blanks", "POST", secret, raw(b" " * 500_000 + b"1"), ()),
        ("many top-level members", "POST", secret, json.dumps({"data": {}, **MEMBERS}).encode(), ()),
        ("versions", "PUT", "/v1/secret/destroy/costly", versions, ()),
        ("versions, undeleted", "POST", "/v1/secret/undelete/costly", versions, ()),
        ("one version again and again", "POST", "/v1/secret/delete/costly",
         json.dumps({"versions": [1] * 65_000}).encode(), ()),
        ("custom metadata", "POST", "/v1/secret/metadata/costly",
         json.dumps({"custom_metadata": {key: "v" for key in MEMBERS}}).encode(), ()),
        ("custom metadata, changed", "PATCH", "/v1/secret/metadata/costly",
         json.dumps({"custom_metadata": {key: None for key in MEMBERS}}).encode(), PATCH),
        ("a long duration", "POST", "/v1/secret/metadata/costly",
         json.dumps({"delete_version_after": "1h" * 200_000}).encode(), ()),
        ("a long duration in a header", "GET", secret, b"", ["X-Vault-Wrap-TTL: " + "1h" * 7000]),
        ("capabilities", "POST", "/v1/sys/capabilities-self", paths, ()),
        ("capabilities of one path", "POST", "/v1/sys/capabilities-self",
         json.dumps({"paths": ["secret/data/" + "p/" * 200_000]}).encode(), ()),
        ("capabilities of empty parts", "POST", "/v1/sys/capabilities-self",
         json.dumps({"paths": ["/" * 480] * 1000}).encode(), ()),
        ("a token", "POST", "/v1/auth/token/create",
         json.dumps({"meta": {key: "v" for key in MEMBERS}, "policies": ["p"] * 20_000}).encode(), ()),
        ("a long token", "GET", secret, b"", ["X-Vault-Token: " + long]),
        ("a token to look up", "POST", "/v1/auth/token/lookup", json.dumps({"token": "t" * 500_000}).encode(), ()),
        ("random bytes", "POST", "/v1/sys/tools/random/1000000000", b"{}", ()),
        ("slashes", "GET", "/v1/secret/data/" + "/" * 14_000, b"", ()),
        ("escaped slashes", "GET", "/v1/secret/data/" + "%2F" * 4600, b"", ()),
        ("dots", "GET", "/v1/secret/data/" + "../" * 4600, b"", ()),
        ("a path of versions", "GET", native + "/version" * 1700, b"", ()),
        ("parameters", "GET", secret + "?" + "&".join(["a=1"] * 3500), b"", ()),
        ("one parameter again and again", "GET", secret + "?" + "&".join(["version=1"] * 1400), b"", ()),
        ("escaped parameters", "GET", secret + "?version=" + "%31" * 4500, b"", ()),
        ("headers", "GET", secret, b"", [f"x-{number}: {'y' * 140}" for number in range(90)]),
        ("a list from a long name on", "GET", f"/v1/secret/metadata?list=true&after={long}", b"", ()),
        ("a long cursor", "GET", native, b"", ["X-Pagination-Cursor: " + "A" * 14_000]),
        ("native, many members", "POST", native,
         json.dumps({"path": "native", "version": {"data": MEMBERS}}).encode(), ()),
        ("native, one member again and again", "POST", native,
         b"{" + b'"path":"a",' * 40_000 + b'"path":"a"}', ()),
        ("native, a long path", "POST", native, json.dumps({"path": "a/" * 250_000}).encode(), ()),
        ("a mount with options", "POST", "/v1/sys/mounts/costly", json.dumps(
            {"type": "kv", "options": {"version": "2", **{k: "v" for k in MEMBERS}}, "config": MEMBERS}).encode(), ()),
    ]


def ask(address, how, method, path, body, headers):
    """One request on a connection of its own: the status, or what came instead."""
    try:
        connection = net.tls(address, how, timeout=PATIENCE)
        status, _ = http1.call(connection, method, path, body, headers)
        connection.close()
        yield status
    except OSError as error:
        yield type(error).__name__


@attack("costly requests", rss=192)
def costly(trial):
    """No input may cost more than linear."""
    how, found = net.context(trial.region.loud, "http/1.1"), []
    for name, *request in requests(trial.region.loud):
        costs = []
        # The cheapest of three: honest clients and the clean-up of others are in the figure.
        for _ in range(TIMES):
            before = trial.server.cpu()
            status = next(ask(trial.address, how, *request))
            costs.append((trial.server.cpu() - before) * 1000)
        found.append((min(costs), name))
        trial.detail(f"{name}: {status}, {min(costs):.1f} ms of CPU")
        trial.check(f"{name}: {status}", status not in ("TimeoutError", 500))
        if min(costs) > CPU:
            trial.fail(f"{name}: {min(costs):.0f} ms of CPU > {CPU} ms")
    trial.note("dearest: " + ", ".join(f"{name} {cost:.0f} ms" for cost, name in sorted(found)[:-6:-1]))
