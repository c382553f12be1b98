"""Answers that nobody takes: what a stranger's connections can make the server hold."""

import time

import http2
import net
from http2 import INITIAL_WINDOW_SIZE, PREFACE, get, head, settings
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


@attack("untaken answers, window 1", rss=96)
def window_1(trial):
    """One byte of each answer is taken."""
    untaken(trial, net.context(), gets("/openapi.json", 1))


@attack("untaken answers, socket full", rss=96)
def socket_full(trial):
    """The windows are wide, but nobody reads from the socket."""
    untaken(trial, net.context(), gets("/swagger/swagger-ui-bundle.js", http2.WINDOW_MAX))


@attack("untaken answers, a byte at a time", rss=96)
def drip(trial):
    """A connection that takes a byte now and then is not idle, and may hold no more than one that is."""
    requests = gets("/openapi.json", 0) + http2.window_update(0, 1 << 20)
    drip = b"".join(http2.window_update(1 + 2 * n, 1) for n in range(STREAMS))
    untaken(trial, net.context(), requests, drip=drip)
