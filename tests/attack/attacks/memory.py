"""Answers that nobody takes, and requests that are larger inside than outside: what connections make the server hold."""

import time

import http2
import net
from http2 import (DATA, END_HEADERS, HEADERS, INITIAL_WINDOW_SIZE, PREFACE, frame, get, head, integer, literal,
                   settings, window_update)
from trial import attack

CONNECTIONS = 400
STREAMS = 100
# The attacker opens connections for so long at most.
OPENING = 8
ENDED_WITHIN = 30


def gets(path, window):
    """A hundred requests for `path`, which then take `window` bytes each."""
    block = head("GET", path)
    first = PREFACE + settings([(INITIAL_WINDOW_SIZE, window)])
    return first + b"".join(get(1 + 2 * n, block) for n in range(STREAMS))


def hold(address, how, requests, connections, drip=b""):
    """Opens connections that ask and do not read; gives back how many were taken. Then sends `drip` on each, now and
    then."""
    held, end = [], time.monotonic() + OPENING
    while len(held) < connections and time.monotonic() < end:
        try:
            connection = net.tls(address, how, timeout=1, receive_buffer=4096)
            connection.sendall(requests)
            connection.setblocking(False)
            held.append(connection)
        except OSError:
            time.sleep(0.02)
    yield len(held)
    while True:
        for connection in held if drip else ():
            try:
                connection.send(drip)
            except OSError:
                pass
        time.sleep(0.5)


def untaken(trial, how, requests, connections=CONNECTIONS, drip=b""):
    """Two attackers hold connections; the server must let go of nearly all of them in time."""
    before = trial.server.sockets()
    attackers = [trial.start(hold, trial.address, how, requests, connections // 2, drip) for _ in range(2)]
    trial.note(f"{sum(attacker.result() for attacker in attackers)} connections")
    began = time.monotonic()
    # Honest clients come and go.
    while trial.server.sockets() > before + 8 and time.monotonic() < began + ENDED_WITHIN:
        time.sleep(0.1)
    trial.hold("let go after", time.monotonic() - began, ENDED_WITHIN, " s")


@attack("untaken answers, window 0", rss=96)
def window_0(trial):
    """2-3.7 MiB a connection, held for two minutes: with 768 MiB of memory the process was gone after 1.2 s."""
    untaken(trial, net.context(), gets("/openapi.json", 0))


@attack("untaken answers, socket full", rss=96)
def socket_full(trial):
    """The windows are wide, but nobody reads from the socket."""
    untaken(trial, net.context(), gets("/swagger/swagger-ui-bundle.js", http2.WINDOW_MAX))


@attack("untaken answers, a byte at a time", rss=96)
def drip(trial):
    """A connection that takes a byte now and then is not idle, and may hold no more than one that is."""
    requests = gets("/openapi.json", 0) + window_update(0, 1 << 20)
    drip = b"".join(window_update(1 + 2 * n, 1) for n in range(STREAMS))
    untaken(trial, net.context(), requests, drip=drip)


# Requests. None of what these send is ever complete, or none of it is taken.

NO_WINDOW = PREFACE + settings([(INITIAL_WINDOW_SIZE, 0)])
SMALL = literal("content-length", "100000")


def crowded(method, path):
    """A head of 1,400 headers, which are a byte each on the wire."""
    entry = b"\x40" + http2.text("a") + http2.text("b")
    block = head(method, path) + (SMALL if method == "POST" else b"")
    flags = END_HEADERS if method == "POST" else END_HEADERS | http2.END_STREAM
    heads = [frame(HEADERS, flags, 1, block + entry + b"\xbe" * 1400)]
    heads += [frame(HEADERS, flags, 1 + 2 * n, block + b"\xbe" * 1400) for n in range(1, STREAMS)]
    return NO_WINDOW + b"".join(heads)


def crumbs(path, streams):
    """Bodies in frames of one byte each, as many as the server's windows allow at first."""
    block, crumb = head("POST", path) + SMALL, 65_000 // streams
    numbers = [1 + 2 * n for n in range(streams)]
    return NO_WINDOW + b"".join(
        frame(HEADERS, END_HEADERS, number, block) + frame(DATA, 0, number, b" ") * crumb for number in numbers)


# Bodies that do not come may be waited for as long as the config says.
SHORT = {"LIMITS__BODY_TIME": "3s"}


@attack("crowded heads, strangers", rss=96)
def crowded_strangers(trial):
    """A head of 14 KiB by what it says is 150 KiB by what it takes."""
    untaken(trial, net.context(), crowded("GET", "/openapi.json"), connections=200)


@attack("crowded heads, a tenant", rss=192, settings=SHORT)
def crowded_tenant(trial):
    """A body that does not come keeps its head."""
    untaken(trial, net.context(trial.region.loud), crowded("POST", "/v1/secret/data/slow"), connections=30)


@attack("bodies in crumbs", rss=128, settings=SHORT)
def crumbs_of_bodies(trial):
    """Each byte of a body that has arrived costs a frame's place in a queue."""
    untaken(trial, net.context(), crumbs("/nowhere", 1), connections=60)
    untaken(trial, net.context(trial.region.loud), crumbs("/v1/secret/data/slow", 4), connections=60)


@attack("chunks in crumbs", rss=128, settings=SHORT)
def crumbs_of_chunks(trial):
    body = b"1\r\n \r\n" * 60_000
    request = b"POST /v1/secret/data/slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    untaken(trial, net.context(trial.region.loud, "http/1.1"), request, connections=20)
