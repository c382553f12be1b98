"""An answer that is given before the body was read. It was lost to many: a server that closes with bytes unread resets
the connection, and the reset overtakes the answer; over HTTP/2 a RST_STREAM does the same. Python saw the end of TLS
where 413 was meant, Debian 12's curl `(92) Stream error`, and Java waited for more than a minute.
"""

import contextlib
import json
import socket
import unittest
from urllib.parse import urlsplit

import httpx
import hvac
from support import CA, CERT, CLIENTS, DOMAIN, ENDPOINT, KEY, KIB, REFUSED, requests_of, tls


class Answers(unittest.TestCase):
    def arrive(self, wanted):
        """Each client sees the right answer to each request."""
        for name, client in CLIENTS.items():
            with self.subTest(client=name):
                faults = [
                    f"{request}: {fault}"
                    for request, outcome in zip(wanted, client(wanted), strict=True)
                    if (fault := outcome.fault(request)) is not None
                ]
                if faults:
                    self.fail("\n".join([f"{len(faults)} of {len(wanted)} not seen:", *faults[:6]]))

    def test_early_answers_arrive(self):
        self.arrive(REFUSED)

    def test_429_arrives(self):
        """The room for bodies is full; bodies of 64 KiB and more find none, with and without a length."""
        with full():
            self.arrive(requests_of((429, "POST", f"{DOMAIN}/v2/secret", True), sizes=(64 * KIB, 512 * KIB)))

    def test_bodies_in_small_pieces(self):
        """httpx sends what a generator gives it, as it comes. Over HTTP/2 that was taken for a flood, and cut."""
        with httpx.Client(verify=tls(), http1=False, http2=True, timeout=30, trust_env=False) as client:
            for size in (20, 200, 500):
                with self.subTest(size=size):
                    body = json.dumps({"data": {"value": "x" * 200 * KIB}}).encode()
                    pieces = (body[at : at + size] for at in range(0, len(body), size))
                    answer = client.post(f"{ENDPOINT}{DOMAIN}/v1/secret/data/pieces", content=pieces)
                    self.assertEqual((answer.http_version, answer.status_code), ("HTTP/2", 200))
                    kept = client.get(f"{ENDPOINT}{DOMAIN}/v1/secret/data/pieces").json()
                    self.assertEqual(len(kept["data"]["data"]["value"]), 200 * KIB)

    def test_hvac_sees_413(self):
        client = hvac.Client(url=ENDPOINT + DOMAIN, cert=(CERT, KEY), verify=CA, timeout=10)
        for size in (1024 * KIB, 5 * 1024 * KIB):
            with self.subTest(size=size):
                with self.assertRaises(hvac.exceptions.VaultError) as caught:
                    client.secrets.kv.v2.create_or_update_secret("early", {"value": "x" * size})
                self.assertIn("body too large", str(caught.exception))


@contextlib.contextmanager
def full():
    """While it lasts there is no room for a body of 64 KiB: others wait for their last byte."""
    with contextlib.ExitStack() as held:
        target = urlsplit(ENDPOINT)
        size = 512 * KIB
        for _ in range(64):
            plain = socket.create_connection((target.hostname, target.port), timeout=10)
            connection = held.enter_context(tls().wrap_socket(plain, server_hostname=target.hostname))
            head = f"POST {DOMAIN}/v2/secret HTTP/1.1\r\nHost: {target.netloc}\r\nContent-Length: {size}\r\n\r\n"
            connection.sendall(head.encode())
            # One that finds no room is told so at once.
            connection.settimeout(0.5)
            try:
                connection.sendall(b"x" * (size - 1))
                connection.recv(1)
                size //= 2
            except TimeoutError:
                pass
            except OSError:
                size //= 2
            if size < 20 * KIB:
                yield
                return
    raise AssertionError("so many large bodies wait, and there is room yet")
