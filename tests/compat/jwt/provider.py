"""An identity provider, an okmsd that takes its tokens, and who brings them."""

import base64
import datetime
import hashlib
import http.server
import json
import os
import pathlib
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

work = pathlib.Path(sys.argv[1])
ISSUER = "https://idp.example.com/realms/prod"

# The provider's keys: one of each kind, in its own words.
KEYS = {
    "RS256": ("rsa-1", rsa.generate_private_key(public_exponent=65537, key_size=2048)),
    "PS256": ("rsa-2", rsa.generate_private_key(public_exponent=65537, key_size=3072)),
    "ES256": ("ec-1", ec.generate_private_key(ec.SECP256R1())),
    "ES384": ("ec-2", ec.generate_private_key(ec.SECP384R1())),
    "EdDSA": ("ed-1", ed25519.Ed25519PrivateKey.generate()),
}
NEXT = ("ec-3", ec.generate_private_key(ec.SECP256R1()))


def published(alg, kid, key):
    """A key as PyJWT writes it."""
    jwk = jwt.get_algorithm_by_name(alg).to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "kid": kid, "use": "sig", "alg": alg}


JWKS = [published(alg, kid, key) for alg, (kid, key) in KEYS.items()]
# What a provider has for other ends, and is no key for signatures.
JWKS.append({**published("RS256", "enc-1", KEYS["RS256"][1]), "use": "enc", "alg": "RSA-OAEP"})


class Provider(http.server.BaseHTTPRequestHandler):
    """Answers with the keys."""

    def do_GET(self):
        body = json.dumps({"keys": JWKS}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/jwk-set+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def authority_and_certificate():
    """An authority, and a certificate of it for this machine: files."""
    now = datetime.datetime.now(datetime.timezone.utc)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "provider's authority")])

    def builder(subject, public):
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    ca = builder(ca_name, ca_key.public_key()).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    ca = ca.sign(ca_key, hashes.SHA256())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    leaf = builder(name, key.public_key()).add_extension(names, critical=False)
    leaf = leaf.sign(ca_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (work / "ca.pem").write_bytes(ca.public_bytes(pem))
    (work / "idp.pem").write_bytes(
        leaf.public_bytes(pem)
        + key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def serve():
    """The provider's address."""
    authority_and_certificate()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(work / "idp.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"https://localhost:{server.server_port}/certs"


def start(address):
    """An okmsd that takes the provider's tokens, and what okmsd dev writes into env.sh."""
    region = work / "region"
    settings = {
        "OKMSD_AUTH__JWT__ISSUER": ISSUER,
        "OKMSD_AUTH__JWT__JWKS_URL": address,
        "OKMSD_AUTH__JWT__CA": str(work / "ca.pem"),
        "OKMSD_AUTH__JWT__CERTIFICATE": "optional",
        "SECRETS_AUDIENCE": "crud.secrets",
    }
    with open(work / "okmsd.log", "wb") as log:
        process = subprocess.Popen(
            [os.environ["OKMSD"], "dev", "--dir", region, "--listen", "127.0.0.1:0",
             "--admin-listen", "127.0.0.1:0"],
            env={**os.environ, **settings}, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )
    text = ""
    for _ in range(300):
        if process.poll() is not None:
            sys.exit(f"jwt: okmsd ended at once:\n{(work / 'okmsd.log').read_text()}")
        if (region / "env.sh").exists():
            text = (region / "env.sh").read_text()
            if "VAULT_CLIENT_KEY" in text:
                break
        time.sleep(0.1)
    pairs = (line.removeprefix("export ").split("=", 1) for line in text.splitlines() if "=" in line)
    return process, {name: value.strip("'") for name, value in pairs}


def token(alg="ES256", key=None, kid=None, **others):
    own_kid, own_key = KEYS[alg]
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": "alice", "iat": now, "exp": now + 300, "aud": "crud.secrets",
              "tenant_id": env["OKMS_ID"], "scope": "openid secrets.read secrets.write", **others}
    claims = {name: value for name, value in claims.items() if value is not None}
    headers = {"kid": kid or own_kid, "typ": "at+jwt"}
    return jwt.encode(claims, key or own_key, algorithm=alg, headers=headers)


def call(bearer, method="GET", path="/v1/secrets/app/jwt", body=None, certificate=True):
    """The status, and the code of an error or the body."""
    context = ssl.create_default_context(cafile=env["KMS_RESTAPI_CA"])
    if certificate:
        context.load_cert_chain(env["KMS_RESTAPI_CERT"], env["KMS_RESTAPI_KEY"])
    request = urllib.request.Request(
        env["KMS_RESTAPI_ENDPOINT"] + path, method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {bearer}"},
    )
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["error"]["code"]


def thumbprint():
    pem = pathlib.Path(env["KMS_RESTAPI_CERT"]).read_bytes()
    der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def expect(what, got, status, code=None):
    if got[0] != status or (code is not None and got[1] != code):
        sys.exit(f"jwt: FAILED: {what}: {got}")
    print(f"ok       {what}")


def main():
    got = call(token(), "PUT", body={"data": {"v": 1}})
    expect("a token writes beside a certificate", got, 201)
    for alg in KEYS:
        expect(f"{alg} beside a certificate", call(token(alg)), 200)
        expect(f"{alg} alone", call(token(alg), certificate=False), 200)
    bound = {"cnf": {"x5t#S256": thumbprint()}}
    expect("a bound one with its certificate", call(token(**bound)), 200)
    expect("a bound one alone", call(token(**bound), certificate=False), 401, "token_invalid")
    few = token(scope="secrets:read")
    expect("a scope too few", call(few, "PUT", body={"data": {}}), 403, "insufficient_scope")
    JWKS.append(published("ES256", *NEXT))
    new = token(key=NEXT[1], kid=NEXT[0])
    expect("a new key, once its token comes", call(new), 200)
    now = int(time.time())
    for what, bad, code in [
        ("expired", token(exp=now - 120), "token_expired"),
        ("without an end", token(exp=None), "token_invalid"),
        ("of a time to come", token(nbf=now + 300), "token_invalid"),
        ("for others", token(aud=["other"]), "token_invalid"),
        ("of another issuer", token(iss="https://other.example.com"), "token_invalid"),
        ("of another key", token(key=NEXT[1]), "token_invalid"),
        ("of a key for other ends", token("RS256", kid="enc-1"), "token_invalid"),
        ("of another type under its name", token("RS256", kid="ec-1"), "token_invalid"),
        ("unsigned", jwt.encode({"iss": ISSUER, "sub": "a", "exp": now + 300}, None, algorithm="none"),
         "token_invalid"),
        ("with a secret", jwt.encode({"iss": ISSUER, "sub": "a", "exp": now + 300}, "s" * 32,
                                     algorithm="HS256", headers={"kid": "ec-1"}), "token_invalid"),
    ]:
        expect(f"one {what}", call(bad), 401, code)
    JWKS[:] = [published("ES256", *NEXT)]
    process.send_signal(signal.SIGHUP)
    for _ in range(100):
        if call(token())[0] == 401:
            break
        time.sleep(0.1)
    expect("an old key no more", call(token()), 401, "token_invalid")
    expect("and the new one still", call(new), 200)


process, env = start(serve())
try:
    main()
finally:
    process.terminate()
    process.wait(timeout=30)
