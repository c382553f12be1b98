"""Requests that okmsd refuses before it has read their bodies, and the clients that send them.

A client takes a list of requests, sends them one after the other as its users do, and gives an outcome for each: the
status and the body that it saw, or in words why it saw none.
"""

import itertools
import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import httpx
import requests

HERE = Path(__file__).parent
WORK = Path(os.environ["WORK"])
ENDPOINT = os.environ["KMS_RESTAPI_ENDPOINT"]
DOMAIN = f"/api/{os.environ['OKMS_ID']}"
CA, CERT, KEY = (os.environ[f"KMS_RESTAPI_{name}"] for name in ("CA", "CERT", "KEY"))
# How long a client waits for an answer that may never come, and after how many of them it gives up.
PATIENCE = 10
ENOUGH = 4
KIB = 1024
SIZES = (0, 2, 64 * KIB, 1024 * KIB, 5 * 1024 * KIB)


@dataclass(frozen=True)
class Request:
    status: int
    method: str
    path: str
    certificate: bool
    size: int
    chunked: bool

    def body(self):
        return b"{}" if self.size == 2 else b"x" * self.size

    def pieces(self):
        """The body of a request that does not tell its length."""
        body = self.body()
        return (body[at : at + 16 * KIB] for at in range(0, len(body), 16 * KIB))

    def __str__(self):
        who = "" if self.certificate else " without a certificate"
        length = "chunked" if self.chunked else "with its length"
        return f"{self.status} to {self.method} {self.path[:60]}{who}, {self.size} bytes {length}"


@dataclass(frozen=True)
class Outcome:
    status: int | None
    body: bytes = b""
    error: str = ""

    def fault(self, request):
        """What is wrong with it, or nothing."""
        if self.status is None:
            return self.error
        if self.status != request.status:
            return f"status {self.status}, {self.body[:200]}"
        try:
            error = json.loads(self.body)
        except ValueError:
            return f"no JSON: {self.body[:200]}"
        if not isinstance(error.get("error_code"), int) or not isinstance(error.get("errors"), list):
            return f"not an error's body: {self.body[:200]}"
        return None


def requests_of(*kinds, sizes=SIZES):
    """Each kind (status, method, path, certificate) with bodies of all sizes, with and without a length."""
    return [Request(*kind, size, chunked) for kind, size, chunked in itertools.product(kinds, sizes, (False, True))]


REFUSED = requests_of(
    (400, "POST", f"{DOMAIN}/v2/secret/{'long' * 600}/version", True),
    (401, "POST", f"{DOMAIN}/v2/secret", False),
    (401, "PUT", f"{DOMAIN}/v1/secret/data/early", False),
    (403, "PUT", "/api/00000000-0000-4000-8000-000000000000/v1/secret/data/early", True),
    (404, "POST", "/nowhere", False),
    (404, "POST", "/nowhere", True),
    (405, "PUT", f"{DOMAIN}/v2/secret", True),
    (405, "POST", f"{DOMAIN}/v1/secret/subkeys/early", True),
) + requests_of(
    (413, "POST", f"{DOMAIN}/v2/secret", True),
    (413, "PUT", f"{DOMAIN}/v1/secret/data/early", True),
    sizes=SIZES[3:],
)


def tls(certificate=True):
    context = ssl.create_default_context(cafile=CA)
    if certificate:
        context.load_cert_chain(CERT, KEY)
    return context


def each(send):
    """A client that gives up after ENOUGH failures, so that a broken server does not take hours."""

    def client(wanted):
        outcomes, failures = [], 0
        for request in wanted:
            if failures >= ENOUGH:
                outcomes.append(Outcome(None, error="not tried any more"))
                continue
            try:
                outcomes.append(send(request))
            except Exception as error:  # noqa: BLE001 - whatever a client's user would see
                outcomes.append(Outcome(None, error=f"{type(error).__name__}: {error}"))
            failures += outcomes[-1].fault(request) is not None
        return outcomes

    return client


def curl(*options):
    def send(request):
        body = WORK / "body"
        body.write_bytes(request.body())
        command = ["curl", "-sS", "--max-time", str(PATIENCE), "--cacert", CA, "-X", request.method]
        command += ["-o", str(WORK / "answer"), "-w", "%{http_code}", *options]
        if request.certificate:
            command += ["--cert", CERT, "--key", KEY]
        command += ["-T", "-"] if request.chunked else ["--data-binary", f"@{body}"]
        (WORK / "answer").write_bytes(b"")
        with body.open("rb") as file:
            run = subprocess.run([*command, ENDPOINT + request.path], stdin=file, capture_output=True, check=False)
        if run.returncode != 0:
            return Outcome(None, error=run.stderr.decode(errors="replace").strip())
        return Outcome(int(run.stdout), (WORK / "answer").read_bytes())

    return each(send)


def python_urllib(request):
    body = request.pieces() if request.chunked else request.body()
    asked = urllib.request.Request(ENDPOINT + request.path, data=body, method=request.method)
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE, context=tls(request.certificate)) as answer:
            return Outcome(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        return Outcome(error.code, error.read())


def python_requests(wanted):
    with requests.Session() as known, requests.Session() as stranger:
        known.cert = (CERT, KEY)

        def send(request):
            body = request.pieces() if request.chunked else request.body()
            session = known if request.certificate else stranger
            url = ENDPOINT + request.path
            answer = session.request(request.method, url, data=body, timeout=PATIENCE, verify=CA)
            return Outcome(answer.status_code, answer.content)

        return each(send)(wanted)


def python_httpx(http2):
    def client(wanted):
        options = {"http1": not http2, "http2": http2, "timeout": PATIENCE, "trust_env": False}
        with httpx.Client(verify=tls(), **options) as known, httpx.Client(verify=tls(False), **options) as stranger:

            def send(request):
                body = request.pieces() if request.chunked else request.body()
                sender = known if request.certificate else stranger
                answer = sender.request(request.method, ENDPOINT + request.path, content=body)
                assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1"), answer.http_version
                return Outcome(answer.status_code, answer.content)

            return each(send)(wanted)

    return client


def program(*command):
    """A client in another language: it reads a request from each line of its input, and writes a line for each, with
    the status and the body, or `-` and what went wrong.
    """

    def client(wanted):
        lines = [
            f"{r.status}\t{r.method}\t{r.path}\t{int(r.certificate)}\t{r.size}\t{int(r.chunked)}\n" for r in wanted
        ]
        environment = {**os.environ, "PATIENCE": str(PATIENCE), "ENOUGH": str(ENOUGH)}
        run = subprocess.run(
            command, input="".join(lines), env=environment, capture_output=True, text=True, timeout=180, check=False
        )
        outcomes = []
        for line in run.stdout.splitlines():
            status, _, rest = line.partition("\t")
            seen = Outcome(None, error=rest) if status == "-" else Outcome(int(status), rest.encode())
            outcomes.append(seen)
        lost = Outcome(None, error=f"the program ended with {run.returncode}: {run.stderr[-2000:]}")
        return outcomes + [lost] * (len(wanted) - len(outcomes))

    return client


# Compiled by run.sh; a machine that starts four of them has better things to do than to optimise them.
JAVA = ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", str(WORK), "Early")
CLIENTS = {
    # Debian's curl asks for leave before it sends a large body; the second does not.
    "curl, HTTP/1.1": curl("--http1.1"),
    "curl, HTTP/1.1, without Expect": curl("--http1.1", "-H", "Expect:"),
    "curl, HTTP/2": curl("--http2"),
    "urllib": each(python_urllib),
    "requests": python_requests,
    "httpx, HTTP/1.1": python_httpx(http2=False),
    "httpx, HTTP/2": python_httpx(http2=True),
    "Java, HTTP/1.1": program(*JAVA, "HTTP_1_1"),
    "Java, HTTP/2": program(*JAVA, "HTTP_2"),
    "Node, HTTP/1.1": program("node", str(HERE / "http1.mjs")),
    "Node, HTTP/2": program("node", str(HERE / "http2.mjs")),
}
