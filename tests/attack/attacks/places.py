"""Places: connections that a stranger holds for little, and descriptors that run out."""

import itertools
import select
import time

import http1
import net
from trial import attack

SECONDS = 4
PLACES = 300
# Half of a handshake: a record that says more than it brings.
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


def refill(address, number, seconds, connect, at=None):
    """Holds `number` connections that `connect` opens, and opens another where one is ended; gives back how many were
    taken in all. Not more than a hundred a second, so that it is about places and not about handshakes."""
    poll, held, taken, end = select.poll(), {}, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(10):
            if len(held) == number:
                break
            try:
                connection = connect(address, at)
            except OSError:
                continue
            connection.setblocking(False)
            poll.register(connection, select.POLLIN | select.POLLRDHUP)
            held[connection.fileno()] = connection
            taken += 1
        for descriptor, _ in poll.poll(50):
            try:
                over = not held[descriptor].recv(1 << 16)
            except net.WAITS:
                over = False
            except OSError:
                over = True
            if over:
                poll.unregister(descriptor)
                net.close(held.pop(descriptor))
    yield taken


def silent(address, at):
    return net.tcp(address, 1, at=at)


def half(address, at):
    connection = net.tcp(address, 1, at=at)
    connection.sendall(HELLO)
    return connection


def shaken(address, at):
    return net.tls(address, net.context(alpn="http/1.1"), timeout=1, at=at)


def asked(address, at):
    """One request, and then nothing for as long as the server allows."""
    connection = shaken(address, at)
    http1.call(connection, "GET", "/v1/sys/health")
    return connection


def slow_head(address, at):
    connection = shaken(address, at)
    connection.sendall(b"GET / HTTP/1.1\r\n")
    return connection


STATES = itertools.cycle((silent, half, shaken, slow_head))


def in_turn(address, at):
    return next(STATES)(address, at)


def take(trial, connect, number=PLACES, at=None):
    """The places are taken as fast as it goes, and then kept."""
    attacker = trial.start(refill, trial.address, number, SECONDS, connect, at)
    trial.note(f"{attacker.result()} taken")


FEW = {"LIMITS__CONNECTIONS": PLACES}


@attack("places, after one request", settings=FEW)
def after_one_request(trial):
    """A stranger held all places with one request in 65 s each."""
    take(trial, asked)


@attack("places, after one request, from an honest address", settings=FEW)
def same_address(trial):
    """Behind one gateway everybody has the same address."""
    take(trial, asked, at="127.0.0.1")


@attack("places, in every state", settings=FEW)
def every_state(trial):
    """Before, within and after the handshake, and within a head."""
    take(trial, in_turn)


@attack("descriptors, soft limit 1024", files=(1024, 4096))
def soft_limit(trial):
    """A thousand idle connections at the usual soft limit: accept failed in a loop, and on the admin port as well."""
    take(trial, silent, 1100)


@attack("descriptors, hard limit 1024", files=(1024, 1024))
def hard_limit(trial):
    take(trial, silent, 1100)
