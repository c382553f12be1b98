"""An okmsd of a suite's own, and those who ask it something. A suite puts this folder on PYTHONPATH."""

import base64
import hashlib
import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request


class Server:
    """One in this folder, with settings as variables of its environment; it ends with the block. `okmsd dev` makes what it needs; where
    that has been there, `okmsd serve` can follow it.
    """

    def __init__(self, folder, command="dev", **settings):
        self.folder, self.log = folder, folder.with_suffix(".log")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            listen = f"127.0.0.1:{free.getsockname()[1]}"
        if command == "dev":
            arguments = ["--dir", folder, "--listen", listen, "--admin-listen", "127.0.0.1:0"]
        else:
            arguments = ["--config", folder / "okmsd.toml"]
            settings |= {"OKMSD_SERVER__LISTEN": listen, "OKMSD_SERVER__ADMIN_LISTEN": "127.0.0.1:0"}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [os.environ["OKMSD"], command, *arguments],
                env={**os.environ, **settings}, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )
        self.until_it_listens(int(listen.rpartition(":")[2]))
        self.env = self.environment()
        self.env["KMS_RESTAPI_ENDPOINT"] = f"https://{listen}"

    def until_it_listens(self, port):
        for _ in range(300):
            if self.process.poll() is not None:
                break
            try:
                return socket.create_connection(("127.0.0.1", port)).close()
            except OSError:
                time.sleep(0.1)
        sys.exit(f"okmsd does not run:\n{self.log.read_text()}")

    def environment(self):
        """What okmsd dev writes into env.sh."""
        text, file = "", self.folder / "env.sh"
        for _ in range(300):
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
        """That of the client's certificate."""
        pem = pathlib.Path(self.env["KMS_RESTAPI_CERT"]).read_text()
        der = ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END CERTIFICATE-----") + 25])
        return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()

    def call(self, method, path, body=None, bearer=None, certificate=True):
        """The status, and the body; an empty one is an object without members."""
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
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


def expect(what, got, status, code=None):
    """Ends the suite where an answer has another status, or another code: some dialects have that in `error`."""
    told = got[1] if "code" in got[1] else got[1].get("error", {})
    if got[0] != status or (code is not None and told["code"] != code):
        sys.exit(f"FAILED: {what}: want {status} {code or ''}, got {got}")
    print(f"ok       {what}")
