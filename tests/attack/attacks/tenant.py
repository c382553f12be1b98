"""One tenant against the others: bodies that trickle, answers that are not taken, writers, lists, connections."""

import collections
import json
import random
import threading
import time

import http1
import http2
import net
from http2 import END_HEADERS, HEADERS, frame, get, head
from trial import attack

SECONDS = 4
STREAMS = 100


def value(size):
    return json.dumps({"data": {"v": "x" * size}}).encode()


def store(address, how, path, size):
    """Writes a secret of the attacker's own."""
    connection = net.tls(address, how)
    status, body = http1.call(connection, "POST", f"/v1/secret/data/{path}", value(size))
    net.close(connection)
    if status != 200:
        raise RuntimeError(f"the attacker's own secret: {status} {body}")


def stay(seconds, connections, what):
    """Sends `what` on each connection twice a second for as long as they live; gives back how many are left."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for connection in list(connections):
            try:
                connection.send(what)
            except BlockingIOError:
                pass
            except OSError:
                connections.remove(connection)
        time.sleep(0.5)
    return len(connections)


# Bodies.

def slow_bodies_2(address, how, connections):
    """A hundred bodies a connection that never come."""
    block = head("POST", "/v1/secret/data/slow", [("content-length", "100000")])
    first = b"".join(frame(HEADERS, END_HEADERS, 1 + 2 * n, block) for n in range(STREAMS))
    made = []
    for _ in range(connections):
        connection = http2.Http2(address, how)
        connection.send(first)
        made.append(connection)
    time.sleep(SECONDS)
    yield len(made)


def slow_bodies_1(address, how, connections, length=100_000):
    first = http1.request("POST", "/v1/secret/data/slow", b" " * length)[:-length]
    made = []
    for _ in range(connections):
        connection = net.tls(address, how)
        connection.sendall(first)
        connection.setblocking(False)
        made.append(connection)
    yield stay(SECONDS, made, b" ")


@attack("a tenant's slow bodies, HTTP/2", extra=("write", "large"))
def bodies_2(trial):
    """All 1,024 places in progress were taken by bodies that do not come, and everybody else was answered 429."""
    trial.start(slow_bodies_2, trial.address, net.context(trial.region.loud), 15).result()


@attack("a tenant's slow bodies, HTTP/1.1", rss=96, extra=("write", "large"))
def bodies_1(trial):
    how = net.context(trial.region.loud, "http/1.1")
    attackers = [trial.start(slow_bodies_1, trial.address, how, 512) for _ in range(2)]
    for attacker in attackers:
        attacker.result()


@attack("a tenant's slow bodies, largest", rss=96, extra=("write", "large"))
def bodies_large(trial):
    """Each says that it will bring half a megabyte, so that room is kept for it."""
    how = net.context(trial.region.loud, "http/1.1")
    attackers = [trial.start(slow_bodies_1, trial.address, how, 300, 512_000) for _ in range(2)]
    for attacker in attackers:
        attacker.result()


def slow_unwraps(address, how, connections):
    """What is unwrapped is told once, so that room is kept for it before."""
    block = head("POST", "/v1/sys/wrapping/unwrap", [("content-length", "100")])
    made = [http2.Http2(address, how) for _ in range(connections)]
    for connection in made:
        connection.send(b"".join(frame(HEADERS, END_HEADERS, 1 + 2 * n, block) for n in range(STREAMS)))
    time.sleep(SECONDS)
    yield len(made)


@attack("a tenant's slow unwraps", extra=("write", "large"))
def unwraps(trial):
    trial.start(slow_unwraps, trial.address, net.context(trial.region.loud), 8).result()


# Answers.

def untaken_2(address, how, window):
    made = []
    # The last takes what room is left beside the large ones.
    for path in ["big"] * 6 + ["medium"]:
        block = head("GET", f"/v1/secret/data/{path}")
        connection = http2.Http2(address, how, window=window)
        connection.send(b"".join(get(1 + 2 * n, block) for n in range(STREAMS)))
        connection.socket.setblocking(False)
        made.append(connection.socket)
    # A byte of each, now and then.
    drip = b"".join(http2.window_update(1 + 2 * n, 1) for n in range(STREAMS)) if window else b""
    yield stay(SECONDS, made, http2.window_update(0, 100) + drip)


def untaken_1(address, how, connections):
    request, made = http1.request("GET", "/v1/secret/data/big"), []
    for _ in range(connections):
        connection = net.tls(address, how, receive_buffer=4096)
        connection.sendall(request * 4)
        made.append(connection)
    time.sleep(SECONDS)
    yield len(made)


def big(trial):
    for path, size in ("big", 512_000), ("medium", 17_000):
        store(trial.address, net.context(trial.region.loud, "http/1.1"), path, size)


@attack("a tenant's untaken answers, HTTP/2", rss=384, prepare=big, extra=("write", "large"))
def answers_http2(trial):
    """Twelve connections took all the room for bodies and answers above 16 KiB, for two minutes."""
    how = net.context(trial.region.loud)
    for attacker in [trial.start(untaken_2, trial.address, how, window) for window in (0, 1)]:
        attacker.result()


@attack("a tenant's untaken answers, HTTP/1.1", rss=384, prepare=big, extra=("write", "large"))
def answers_http1(trial):
    trial.start(untaken_1, trial.address, net.context(trial.region.loud, "http/1.1"), 200).result()


# Work.

def work(address, how, connections, requests, seconds=SECONDS):
    """`requests()` gives a hundred of them: another hundred as soon as all are answered. Gives back how many were
    answered with each status."""
    answers, end = [], time.monotonic() + seconds

    def one():
        try:
            connection = http2.Http2(address, how, window=http2.WINDOW_MAX >> 8, connection_window=1 << 30)
            while time.monotonic() < end:
                answers.extend(connection.exchange(requests()))
        except OSError as error:
            answers.append(str(error))

    threads = [threading.Thread(target=one) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield collections.Counter(answers)


def writes(size):
    body = value(size)
    blocks = [head("POST", f"/v1/secret/data/w/{n}", [("content-length", str(len(body)))]) for n in range(1000)]
    return lambda: [(random.choice(blocks), body) for _ in range(STREAMS)]


def reads(path):
    block = head("GET", path)
    return lambda: [(block, None)] * STREAMS


def tell(trial, *attackers):
    sums = sum((attacker.result() for attacker in attackers), collections.Counter())
    trial.note(", ".join(f"{number} x {status}" for status, number in sorted(sums.items(), key=str)))
    trial.check("nothing of it was answered", sums[200])


# The caches of the store fill up beside, the sooner the faster the machine: 208 to 237 MiB in 5 s, 272 in 15.
@attack("a tenant's 1,000 writers", rss=320, extra=("write",))
def writers(trial):
    """A quiet tenant's write waited 924 ms behind them (p99), 28 ms without."""
    how = net.context(trial.region.loud)
    tell(trial, *[trial.start(work, trial.address, how, 5, writes(1024)) for _ in range(2)])


# The caches of the store fill up beside: 320 MiB.
@attack("a tenant's 400 large values", rss=640, extra=("write",))
def large_values(trial):
    """Copies of half a megabyte on the workers: reads' p50 went from 1.2 to 348 ms."""
    how = net.context(trial.region.loud)
    tell(trial, *[trial.start(work, trial.address, how, 2, writes(512_000)) for _ in range(2)])


# Half-megabyte answers are rendered and encrypted on the threads that serve everybody.
@attack("a tenant's large reads", rss=384, prepare=big, extra=("write",))
def large_reads(trial):
    tell(trial, trial.start(work, trial.address, net.context(trial.region.loud), 4, reads("/v1/secret/data/big")))


@attack("a tenant's documents", rss=192)
def documents(trial):
    """Forty bytes of a request made the whole OpenAPI document anew, with the domain's id: 16 ms each."""
    tell(trial, trial.start(work, trial.address, net.context(trial.region.loud), 4, reads("/openapi.json")))


@attack("a tenant's random bytes", rss=192)
def random_bytes(trial):
    """Twenty bytes of a request, and 130 KB of an answer that is made anew."""
    request = head("POST", "/v1/sys/tools/random"), b'{"bytes":100000}'
    how = net.context(trial.region.loud)
    tell(trial, trial.start(work, trial.address, how, 2, lambda: [request] * STREAMS))


def upload(address, how, request):
    """Bodies that nobody wants, as fast as they are taken; gives back how many bytes that were."""
    data, sent, end = b"x" * (1 << 18), 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            connection = net.tls(address, how)
            connection.sendall(request)
            while time.monotonic() < end:
                connection.sendall(data)
                sent += len(data)
        except OSError:
            pass
        net.close(connection)
    yield sent


@attack("a stranger's bodies", rss=96, extra=("write",))
def bodies_of_strangers(trial):
    """They are read on for a while, so that the answer arrives; that may not become work without end."""
    request = b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n"
    how = net.context(None, "http/1.1")
    attackers = [trial.start(upload, trial.address, how, request) for _ in range(4)]
    trial.note(f"{sum(attacker.result() for attacker in attackers) >> 20} MiB")


@attack("a stranger's requests", rss=96, extra=("write",))
def requests(trial):
    """As many as it can send: each is cheap, and all of them together should not matter more than they cost."""
    attackers = [trial.start(work, trial.address, net.context(), 2, reads(path)) for path in ("/v1/sys/health", "/no")]
    tell(trial, *attackers)


def many_names(trial):
    """Ten thousand secrets in one folder, with names as long as they can be."""
    def fill(address, how):
        connection, body = http2.Http2(address, how), value(1)
        for part in range(100):
            names = (f"/v1/secret/data/names/{part:02}{number:02}" + "n" * 200 for number in range(STREAMS))
            connection.exchange([(head("POST", name), body) for name in names])
        yield None

    trial.start(fill, trial.address, net.context(trial.region.loud)).result()


@attack("a tenant's lists", rss=256, prepare=many_names, extra=("write",))
def lists(trial):
    how, path = net.context(trial.region.loud), "/v1/secret/metadata/names?list=true"
    tell(trial, trial.start(work, trial.address, how, 2, reads(path)))


@attack("a tenant's connections", rss=96, extra=("write",))
def connections(trial):
    """Full handshakes, one request each, as many a second as four attackers can."""
    how = net.context(trial.region.loud, "http/1.1")
    attackers = [trial.start(come_and_go, trial.address, how) for _ in range(4)]
    trial.note(f"{sum(attacker.result() for attacker in attackers)} connections")


def come_and_go(address, how):
    number, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        connection = net.tls(address, how)
        http1.call(connection, "GET", "/v1/sys/health")
        net.close(connection)
        number += 1
    yield number
