"""What comes before a request, or is none: each gets an answer that tells what is wrong."""

import itertools
import json
import socket
import ssl
import subprocess
import time
import unittest
from urllib.parse import urlsplit

from support import CA, CERT, DOMAIN, ENDPOINT, KEY, WORK, tls

TARGET = urlsplit(ENDPOINT)
TRIES = 25


def connected():
    return socket.create_connection((TARGET.hostname, TARGET.port), timeout=10)


def read_all(stream):
    answer = b""
    while piece := stream.recv(65536):
        answer += piece
    return answer


def ask(head):
    """The status, the head and the body of what the server says to these bytes, over TLS."""
    with tls().wrap_socket(connected(), server_hostname=TARGET.hostname) as stream:
        stream.sendall(head.encode())
        answer = b""
        while b"\r\n\r\n" not in answer and (piece := stream.recv(65536)):
            answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            while name.lower() == b"content-length" and len(body) < int(value) and (piece := stream.recv(65536)):
                body += piece
    return head.split(b" ")[1:2], head, body


class Odd(unittest.TestCase):
    def refused(self, head, *statuses):
        status, _, body = ask(head)
        self.assertEqual(len(status), 1, f"no answer to {head!r}")
        self.assertIn(int(status[0]), statuses, body)
        error = json.loads(body)
        self.assertIsInstance(error["error_code"], int)
        self.assertIsInstance(error["errors"], list)

    def test_plain_http_is_told_to_use_tls(self):
        """One who forgets the s got a TLS alert, which curl and browsers show as rubbish."""
        for request in (
            "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "POST /v1/secret/data/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
            f"PUT /v1/secret/data/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65536\r\n\r\n{'x' * 65536}",
            "OPTIONS * HTTP/1.0\r\n\r\n",
        ):
            with self.subTest(request=request[:40]), connected() as stream:
                stream.sendall(request.encode())
                answer = read_all(stream)
                self.assertRegex(answer, rb"\AHTTP/1\.[01] 400 ")
                self.assertRegex(answer.partition(b"\r\n\r\n")[2].lower(), rb"https|tls")
        url = f"http://{TARGET.netloc}/v1/secret/data/a"
        run = subprocess.run(["curl", "-sS", "-i", "--max-time", "10", url], capture_output=True, check=False)
        self.assertEqual((run.returncode, run.stdout[:12]), (0, b"HTTP/1.1 400"), run.stderr)

    def test_a_request_names_one_host(self):
        head = f"GET {DOMAIN}/v2/secret HTTP/1.1\r\n"
        for hosts in ("", f"Host: {TARGET.netloc}\r\nHost: {TARGET.netloc}\r\n", "Host: a\r\nHost: b\r\n"):
            with self.subTest(hosts=hosts):
                self.refused(f"{head}{hosts}\r\n", 400)

    def test_options_and_a_raw_backtick_get_an_answer(self):
        host = f"Host: {TARGET.netloc}\r\n\r\n"
        for path in ("/v1/secret/data/a", f"{DOMAIN}/v2/secret", "/nowhere", "/"):
            with self.subTest(path=path):
                self.refused(f"OPTIONS {path} HTTP/1.1\r\n{host}", 404, 405)
        self.refused(f"GET {DOMAIN}/v1/secret/data/a`b HTTP/1.1\r\n{host}", 400, 404)
        # Over HTTP/2 a path that is no URL's ends the stream, as RFC 9113 has it, before anybody can answer.
        for version, path in (("--http1.1", "/v1/a`b"), ("--http1.1", "/v1/a"), ("--http2", "/v1/a")):
            for method in ("OPTIONS", "GET"):
                with self.subTest(version=version, path=path, method=method):
                    command = ["curl", "-sS", "--max-time", "10", version, "--cacert", CA, "--cert", CERT]
                    command += ["--key", KEY, "-X", method, "-w", "\n%{http_code}", ENDPOINT + path]
                    run = subprocess.run(command, capture_output=True, text=True, check=False)
                    self.assertEqual(run.returncode, 0, run.stderr)
                    body, _, status = run.stdout.rpartition("\n")
                    self.assertIn(status, ("400", "404", "405"))
                    self.assertIsInstance(json.loads(body)["errors"], list)


class Alerts(unittest.TestCase):
    """A client of TLS 1.3 takes the handshake for done, and asks, before the server has seen its certificate. A server
    that then closes resets the connection for what it has not read, and a client that still writes never reads the
    alert that tells why it was refused: it was lost in 37 of 50 tries.
    """

    REQUEST = b"POST /v1/secret/data/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65536\r\n\r\n"
    BODY = b"x" * 65536
    KINDS = (("expired", "CERTIFICATE_EXPIRED"), ("stranger", "UNKNOWN_CA"))

    def seen(self, tell, wanted):
        told = [tell() for _ in range(TRIES)]
        lost = [what for what in told if wanted not in what.upper().replace(" ", "_")]
        if lost:
            self.fail(f"{len(lost)} of {TRIES} lost the alert, the first to: {lost[0]}")

    def test_python_sees_the_alert(self):
        ways = {
            "at once": lambda stream: stream.sendall(self.REQUEST + self.BODY),
            "in two pieces": lambda stream: (stream.sendall(self.REQUEST), time.sleep(0.02), stream.sendall(self.BODY)),
            "late": lambda stream: (time.sleep(0.02), stream.sendall(self.REQUEST), stream.sendall(self.BODY)),
        }
        for (kind, alert), (way, send) in itertools.product(self.KINDS, ways.items()):
            context = tls(certificate=False)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.load_cert_chain(WORK / f"{kind}.pem", WORK / f"{kind}.key")

            def tell(context=context, send=send):
                try:
                    with context.wrap_socket(connected(), server_hostname=TARGET.hostname) as stream:
                        send(stream)
                        return f"answered {stream.recv(100)}"
                except OSError as error:
                    return f"{type(error).__name__} {error}"

            with self.subTest(kind=kind, way=way):
                self.seen(tell, alert)

    def programs(self, command, sent=b""):
        for kind, alert in self.KINDS:
            own = ["--cert", str(WORK / f"{kind}.pem"), "--key", str(WORK / f"{kind}.key")]

            def tell(own=own):
                run = subprocess.run([*command, *own], input=sent, capture_output=True, timeout=15, check=False)
                return run.stderr.decode(errors="replace")

            with self.subTest(kind=kind):
                self.seen(tell, alert)

    def test_openssl_sees_the_alert(self):
        command = ["openssl", "s_client", "-connect", TARGET.netloc, "-CAfile", CA, "-tls1_3", "-quiet"]
        self.programs(command, self.REQUEST + self.BODY)

    def test_curl_sees_the_alert(self):
        for version in ("--http1.1", "--http2"):
            for body in ("{}", "x" * 65536):
                with self.subTest(version=version, size=len(body)):
                    command = ["curl", "-sS", "--max-time", "10", "--tlsv1.3", version, "--cacert", CA, "-d", body]
                    self.programs([*command, f"{ENDPOINT}/v1/secret/data/a"])
