"""What okmsd makes of the provider's tokens: of good ones and others with path secrets, and of each scope with secrets by URI."""

import signal
import sys
import time
from urllib.parse import quote

import jwt
from provider import ISSUER, JWKS, KEYS, NEXT, published, serve, token
from server import Server

SECRET = "openbao+kv2://secret/app/api"
# What each endpoint asks for, and the status where it gets that.
ENDPOINTS = [
    ("POST", "", {"uri": f"{SECRET}#token", "value": "two"}, ["write"], 200),
    ("GET", f"?uri={quote(SECRET)}", None, ["read"], 501),
    ("GET", f"/value?uri={quote(SECRET)}", None, ["read"], 200),
    ("DELETE", f"?uri={quote(SECRET)}", None, ["delete"], 200),
    ("DELETE", f"?uri={quote(SECRET)}&destroy=true", None, ["destroy"], 200),
    ("POST", "/rotate", {"uri": SECRET, "value": {"token": "two"}}, ["rotate"], 200),
    ("GET", f"/metadata?prefix={quote(SECRET)}", None, ["read_metadata"], 200),
    ("GET", f"/keys?uri={quote(SECRET)}", None, ["read_metadata"], 200),
    ("GET", f"/metadata/detail?uri={quote(SECRET)}", None, ["read_metadata"], 200),
    ("GET", f"/versions?uri={quote(SECRET)}", None, ["read_metadata"], 200),
    ("GET", "/search?q=api", None, ["read_metadata"], 200),
    ("POST", "/undelete", {"uri": SECRET, "versions": [1]}, ["delete"], 200),
    ("POST", "/destroy-versions", {"uri": SECRET, "versions": [1]}, ["destroy"], 200),
    ("POST", "/metadata/owner", {"uri": SECRET, "owner": "team:shop"}, ["set_owner"], 200),
    ("POST", "/copy", {"fromUri": SECRET, "toUri": f"{SECRET}-2", "overwrite": True}, ["read", "write"], 200),
    ("POST", "/move", {"fromUri": SECRET, "toUri": f"{SECRET}-2", "overwrite": True}, ["read", "write"], 200),
]
OPERATIONS = [
    ({"op": "set", "uri": SECRET, "value": {}}, "write"),
    ({"op": "rotate", "uri": SECRET, "value": {}}, "rotate"),
    ({"op": "delete", "uri": SECRET}, "delete"),
    ({"op": "undelete", "uri": SECRET, "versions": [1]}, "delete"),
    ({"op": "destroy", "uri": SECRET, "versions": [1]}, "destroy"),
    ({"op": "destroy", "uri": SECRET}, "destroy"),
]
SCOPES = ["read", "write", "delete", "destroy", "rotate", "read_metadata", "set_owner"]


def expect(what, got, status, code=None):
    """Path secrets have the code in `error`, and secrets by URI beside it."""
    told = got[1] if "code" in got[1] else got[1].get("error", {})
    if got[0] != status or (code is not None and told["code"] != code):
        sys.exit(f"jwt: FAILED: {what}: {got}")
    print(f"ok       {what}")


def paths(keys):
    with Server("paths", keys, OKMSD_AUTH__JWT__CERTIFICATE="optional") as server:
        tenant = {"tenant_id": server.env["OKMS_ID"]}

        def call(bearer, method="GET", body=None, certificate=True):
            return server.call(bearer, method, "/v1/secrets/app/jwt", body, certificate)

        expect("a token writes beside a certificate", call(token(**tenant), "PUT", {"data": {"v": 1}}), 201)
        for alg in KEYS:
            expect(f"{alg} beside a certificate", call(token(alg, **tenant)), 200)
            expect(f"{alg} alone", call(token(alg, **tenant), certificate=False), 200)
        bound = token(cnf={"x5t#S256": server.thumbprint()}, **tenant)
        expect("a bound one with its certificate", call(bound), 200)
        expect("a bound one alone", call(bound, certificate=False), 401, "token_invalid")
        few = token(scope="secrets:read", **tenant)
        expect("a scope too few", call(few, "PUT", {"data": {}}), 403, "insufficient_scope")
        JWKS.append(published("ES256", *NEXT))
        new = token(key=NEXT[1], kid=NEXT[0], **tenant)
        expect("a new key, once its token comes", call(new), 200)
        now = int(time.time())
        for what, bad, code in [
            ("expired", token(exp=now - 120, **tenant), "token_expired"),
            ("without an end", token(exp=None, **tenant), "token_invalid"),
            ("of a time to come", token(nbf=now + 300, **tenant), "token_invalid"),
            ("for others", token(aud=["other"], **tenant), "token_invalid"),
            ("of another issuer", token(iss="https://other.example.com", **tenant), "token_invalid"),
            ("of another key", token(key=NEXT[1], **tenant), "token_invalid"),
            ("of a key for other ends", token("RS256", kid="enc-1", **tenant), "token_invalid"),
            ("of another type under its name", token("RS256", kid="ec-1", **tenant), "token_invalid"),
            ("unsigned", jwt.encode({"iss": ISSUER, "sub": "a", "exp": now + 300}, None, algorithm="none"),
             "token_invalid"),
            ("with a secret", jwt.encode({"iss": ISSUER, "sub": "a", "exp": now + 300}, "s" * 32,
                                         algorithm="HS256", headers={"kid": "ec-1"}), "token_invalid"),
        ]:
            expect(f"one {what}", call(bad), 401, code)
        JWKS[:] = [published("ES256", *NEXT)]
        server.process.send_signal(signal.SIGHUP)
        for _ in range(100):
            if call(token(**tenant))[0] == 401:
                break
            time.sleep(0.1)
        expect("an old key no more", call(token(**tenant)), 401, "token_invalid")
        expect("and the new one still", call(new), 200)


def scoped(scopes):
    return token(scope=" ".join(f"secrets.{scope}" for scope in scopes))


def uris(keys):
    """With the variables of the page about them, and its scopes."""
    with Server("uris", keys, SECRETS_API_REQUIRE_AUTH="true", SECRETS_ENFORCE_SCOPES="true") as server:

        def call(bearer, method, route, body=None):
            return server.call(bearer, method, f"/api/secrets{route}", body)

        def fresh():
            """One version of it, whatever there was."""
            for method, route, body in ("DELETE", f"?uri={quote(SECRET)}&destroy=true", None), ("POST", "", {"uri": SECRET, "value": {}}):
                got = call(token(scope="admin"), method, route, body)
            expect("what it is about", got, 200)

        def in_bulk(bearer, operation):
            """The status of an operation, and what is told of it."""
            result = call(bearer, "POST", "/bulk", {"operations": [operation]})[1]["results"][0]
            return result["status"], result

        def without(scope):
            return scoped([other for other in SCOPES if other != scope])

        for method, route, body, needed, status in ENDPOINTS:
            what = f"{method} /api/secrets{route.partition('?')[0]}"
            fresh()
            expect(f"{what} without a token", call(None, method, route, body), 401, "UNAUTHENTICATED")
            for scope in needed:
                got = call(without(scope), method, route, body)
                expect(f"{what} without secrets.{scope}", got, 403, "SCOPE_REQUIRED")
                if got[1]["details"] != {"scope": f"secrets.{scope}"}:
                    sys.exit(f"jwt: FAILED: {what}: {got}")
            expect(f"{what} with {needed} alone", call(scoped(needed), method, route, body), status)
        for operation, needed in OPERATIONS:
            fresh()
            expect(f"{operation['op']} without secrets.{needed}", in_bulk(without(needed), operation), 403, "SCOPE_REQUIRED")
            expect(f"{operation['op']} with it alone", in_bulk(scoped([needed]), operation), 200)
        fresh()
        read = ("GET", f"/value?uri={quote(SECRET)}")
        expect("a scope with a colon", call(token(scope="secrets:read"), *read), 200)
        expect("a token for others", call(token(aud="other"), *read), 401, "TOKEN_INVALID")
        expect("a token for nobody in particular", call(token(aud=None), *read), 200)
        login = server.call(None, "POST", "/v1/auth/cert/login")
        expect("okmsd's own token has no scopes", call(login[1]["auth"]["client_token"], *read), 403, "SCOPE_REQUIRED")


keys = serve()
uris(keys)
paths(keys)
