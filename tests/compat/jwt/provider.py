"""An identity provider."""

import datetime
import http.server
import json
import pathlib
import ssl
import sys
import threading
import time

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


def token(alg="ES256", key=None, kid=None, **others):
    own_kid, own_key = KEYS[alg]
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": "alice", "iat": now, "exp": now + 300, "aud": "crud.secrets",
              "scope": "openid secrets.read secrets.write", **others}
    claims = {name: value for name, value in claims.items() if value is not None}
    headers = {"kid": kid or own_kid, "typ": "at+jwt"}
    return jwt.encode(claims, key or own_key, algorithm=alg, headers=headers)
