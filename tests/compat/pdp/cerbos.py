"""Cerbos, a policy decision point that speaks AuthZEN, with the policies that lie beside this file."""

import json
import pathlib
import socket
import ssl
import subprocess
import sys
import time
import urllib.request

POLICIES = pathlib.Path(__file__).parent / "policies"


class Cerbos:
    """One at a port of this machine, over TLS where it has a certificate; it ends with the block."""

    def __init__(self, program, work, certificate=None, authority=None):
        self.program = program
        self.tls = ssl.create_default_context(cafile=authority) if authority else None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"{'https' if certificate else 'http'}://localhost:{port}"
        name = "tls" if certificate else "plain"
        self.config, self.log, self.decided = (work / f"cerbos-{name}.{end}" for end in ("json", "log", "decisions"))
        # JSON is YAML.
        self.config.write_text(json.dumps({
            "server": {
                "httpListenAddr": f"127.0.0.1:{port}",
                "grpcListenAddr": f"unix:{work / f'cerbos-{name}.grpc'}",
                **({"tls": {"cert": str(certificate), "key": str(certificate.with_suffix(".key"))}} if certificate else {}),
            },
            "storage": {"driver": "disk", "disk": {"directory": str(POLICIES)}},
            "audit": {"enabled": True, "backend": "file", "accessLogsEnabled": False, "file": {"path": str(self.decided)}},
            "telemetry": {"disabled": True},
        }))
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.program, "server", "--config", self.config], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        handlers = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.tls)
        for _ in range(300):
            if self.process.poll() is not None:
                break
            try:
                return urllib.request.build_opener(*handlers).open(f"{self.url}/_cerbos/health", timeout=5).close()
            except OSError:
                time.sleep(0.1)
        sys.exit(f"Cerbos does not run:\n{self.log.read_text()}")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def last(self, question):
        """What it was asked last for which that holds: principal, resource, actions."""
        for _ in range(50):
            lines = self.decided.read_text().splitlines()
            inputs = [each for line in lines for each in json.loads(line).get("checkResources", {}).get("inputs", [])]
            if found := [each for each in inputs if question(each)]:
                return found[-1]
            time.sleep(0.1)
        sys.exit("FAILED: Cerbos was not asked")
