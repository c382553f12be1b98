"""What okmsd makes of the provider's tokens: of good ones and others with path secrets, and of each scope with secrets by URI."""

import signal
import sys
import time
from urllib.parse import quote

import jwt
from endpoints import endpoints, operations
from provider import ISSUER, JWKS, KEYS, NEXT, published, serve, token, work
from server import Server, expect

SECRET = "openbao+kv2://secret/app/api"
SCOPES = ["read", "write", "delete", "destroy", "rotate", "read_metadata", "set_owner"]


def server(name, keys, **settings):
    """One that takes the provider's tokens."""
    return Server(
        work / name,
        OKMSD_AUTH__JWT__ISSUER=ISSUER,
        OKMSD_AUTH__JWT__JWKS_URL=keys,
        OKMSD_AUTH__JWT__CA=str(work / "ca.pem"),
        SECRETS_AUDIENCE="crud.secrets",
        **settings,
    )


def paths(keys):
    with server("paths", keys, OKMSD_AUTH__JWT__CERTIFICATE="optional") as okmsd:
        tenant = {"tenant_id": okmsd.env["OKMS_ID"]}

        def call(bearer, method="GET", body=None, certificate=True):
            return okmsd.call(method, "/v1/secrets/app/jwt", body, bearer, certificate)

        expect("a token writes beside a certificate", call(token(**tenant), "PUT", {"data": {"v": 1}}), 201)
        for alg in KEYS:
            expect(f"{alg} beside a certificate", call(token(alg, **tenant)), 200)
            expect(f"{alg} alone", call(token(alg, **tenant), certificate=False), 200)
        bound = token(cnf={"x5t#S256": okmsd.thumbprint()}, **tenant)
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
        okmsd.process.send_signal(signal.SIGHUP)
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
    with server("uris", keys, SECRETS_API_REQUIRE_AUTH="true", SECRETS_ENFORCE_SCOPES="true") as okmsd:

        def without(scope):
            return scoped([other for other in SCOPES if other != scope])

        def fresh():
            """One version of it, whatever there was."""
            admin = token(scope="admin")
            okmsd.call("DELETE", f"/api/secrets?uri={quote(SECRET)}&destroy=true", None, admin)
            expect("what it is about", okmsd.call("POST", "/api/secrets", {"uri": SECRET, "value": {"token": "one"}}, admin), 200)

        def in_bulk(bearer, operation):
            """The status of an operation, and what is told of it."""
            result = okmsd.call("POST", "/api/secrets/bulk", {"operations": [operation]}, bearer)[1]["results"][0]
            return result["status"], result

        for each in endpoints(SECRET):
            fresh()
            request = each.method, each.route, each.body
            needed = [scope for scope, _ in each.needs if scope]
            expect(f"{each.what} without a token", okmsd.call(*request), 401, "UNAUTHENTICATED")
            for scope in needed:
                got = okmsd.call(*request, without(scope))
                expect(f"{each.what} without secrets.{scope}", got, 403, "SCOPE_REQUIRED")
                if got[1]["details"] != {"scope": f"secrets.{scope}"}:
                    sys.exit(f"FAILED: {each.what} tells of another scope: {got}")
            expect(f"{each.what} with {' and '.join(needed)} alone", okmsd.call(*request, scoped(needed)), each.status)
        for operation, scope, _ in operations(SECRET):
            fresh()
            expect(f"{operation['op']} without secrets.{scope}", in_bulk(without(scope), operation), 403, "SCOPE_REQUIRED")
            expect(f"{operation['op']} with it alone", in_bulk(scoped([scope]), operation), 200)
        fresh()
        read = "GET", f"/api/secrets/value?uri={quote(SECRET)}", None
        expect("a scope with a colon", okmsd.call(*read, token(scope="secrets:read")), 200)
        expect("a token for others", okmsd.call(*read, token(aud="other")), 401, "TOKEN_INVALID")
        expect("a token for nobody in particular", okmsd.call(*read, token(aud=None)), 200)
        login = okmsd.call("POST", "/v1/auth/cert/login")[1]["auth"]["client_token"]
        expect("okmsd's own token has no scopes", okmsd.call(*read, login), 403, "SCOPE_REQUIRED")


keys = serve()
uris(keys)
paths(keys)
