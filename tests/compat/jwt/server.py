"""An okmsd that takes the provider's tokens, and who brings them."""

import base64
import hashlib
import json
import os
import pathlib
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from provider import ISSUER

work = pathlib.Path(sys.argv[1])


class Server:
    """A fresh one, with settings of its own; it ends with the block."""

    def __init__(self, name, keys, **settings):
        self.folder, self.log = work / name, work / f"{name}.log"
        settings = {
            "OKMSD_AUTH__JWT__ISSUER": ISSUER,
            "OKMSD_AUTH__JWT__JWKS_URL": keys,
            "OKMSD_AUTH__JWT__CA": str(work / "ca.pem"),
            "SECRETS_AUDIENCE": "crud.secrets",
            **settings,
        }
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [os.environ["OKMSD"], "dev", "--dir", self.folder, "--listen", "127.0.0.1:0",
                 "--admin-listen", "127.0.0.1:0"],
                env={**os.environ, **settings}, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )
        self.env = self.environment()

    def environment(self):
        """What okmsd dev writes into env.sh."""
        text, file = "", self.folder / "env.sh"
        for _ in range(300):
            if self.process.poll() is not None:
                sys.exit(f"jwt: okmsd ended at once:\n{self.log.read_text()}")
            text = file.read_text() if file.exists() else ""
            if "VAULT_CLIENT_KEY" in text:
                break
            time.sleep(0.1)
        pairs = (line.removeprefix("export ").split("=", 1) for line in text.splitlines() if "=" in line)
        return {name: value.strip("'") for name, value in pairs}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=30)

    def thumbprint(self):
        pem = pathlib.Path(self.env["KMS_RESTAPI_CERT"]).read_bytes()
        der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
        return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()

    def call(self, bearer, method, path, body=None, certificate=True):
        """The status, and the body."""
        context = ssl.create_default_context(cafile=self.env["KMS_RESTAPI_CA"])
        if certificate:
            context.load_cert_chain(self.env["KMS_RESTAPI_CERT"], self.env["KMS_RESTAPI_KEY"])
        request = urllib.request.Request(
            self.env["KMS_RESTAPI_ENDPOINT"] + path, method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {bearer}"} if bearer else {},
        )
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
