"""Places: connections that a stranger holds for little, and descriptors that run out."""

import collections
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


def refill(address, number, seconds, connect, at, holder):
    """Holds `number` connections that `connect` opens, and opens another where one is ended; gives back how many were
    taken in all. Not more than a hundred a second, so that it is about places and not about handshakes."""
    how = net.context(holder, "http/1.1")
    poll, held, taken, end = select.poll(), {}, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(10):
            if len(held) == number:
                break
            try:
                connection = connect(address, at, how)
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


def silent(address, at, how):
    return net.tcp(address, 1, at=at)


def half(address, at, how):
    connection = net.tcp(address, 1, at=at)
    connection.sendall(HELLO)
    return connection


def shaken(address, at, how):
    return net.tls(address, how, timeout=1, at=at)


def asked(address, at, how):
    """One request, and then nothing for as long as the server allows."""
    connection = shaken(address, at, how)
    http1.call(connection, "GET", "/v1/sys/health")
    return connection


def slow_head(address, at, how):
    connection = shaken(address, at, how)
    connection.sendall(b"GET / HTTP/1.1\r\n")
    return connection


STATES = itertools.cycle((silent, half, shaken, slow_head))


def in_turn(address, at, how):
    return next(STATES)(address, at, how)


def take(trial, connect, number=PLACES, at=None, holder=None):
    """The places are taken as fast as it goes, and then kept."""
    attacker = trial.start(refill, trial.address, number, SECONDS, connect, at, holder)
    trial.note(f"{attacker.result()} taken")


def churn(address, seconds, at):
    """Opens connections as fast as it goes, each of which takes the place of the one that is idle for longest."""
    held, number, end = collections.deque(maxlen=1000), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            connection = net.tcp(address, 1, at=at)
        except OSError:
            continue
        number += 1
        if len(held) == held.maxlen:
            held[0].close()
        held.append(connection)
    yield number


def far_away(address, how, tries):
    """A client with a certificate and a tenth of a second on the way in each direction; gives back how often it did not
    get its answer."""
    failed = 0
    for _ in range(tries):
        try:
            with net.tcp(address, 10, at="127.0.0.3") as plain:
                incoming, outgoing = net.ssl.MemoryBIO(), net.ssl.MemoryBIO()
                library = how.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
                time.sleep(0.2)
                while True:
                    try:
                        library.do_handshake()
                        break
                    except net.ssl.SSLWantReadError:
                        plain.sendall(outgoing.read())
                        time.sleep(0.2)
                        incoming.write(plain.recv(1 << 16))
                library.write(http1.request("GET", "/v1/sys/health"))
                plain.sendall(outgoing.read())
                time.sleep(0.2)
                if not plain.recv(1 << 16):
                    failed += 1
        except OSError:
            failed += 1
    yield failed


@attack("places, from far away")
def far(trial):
    """Who needs half a second for a handshake may not lose its place to somebody who opens thousands a second."""
    attackers = [trial.start(churn, trial.address, SECONDS, "127.0.0.66") for _ in range(3)]
    honest = [trial.start(far_away, trial.address, net.context(trial.region.quiet, "http/1.1"), 4) for _ in range(5)]
    # With a quarter of 300 places for handshakes, one who is slow may have to try again.
    trial.hold("failed", sum(client.result() for client in honest), 2, " of 20")
    trial.note(f"{sum(attacker.result() for attacker in attackers)} connections")


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


@attack("places, a tenant's", settings=FEW)
def of_a_tenant(trial):
    """A certificate is no licence to all of them."""
    take(trial, asked, PLACES + 20, holder=trial.region.loud)


@attack("descriptors, soft limit 1024", files=(1024, 4096))
def soft_limit(trial):
    """A thousand idle connections at the usual soft limit: accept failed in a loop, and on the admin port as well."""
    take(trial, silent, 1100)


@attack("descriptors, hard limit 1024", files=(1024, 1024))
def hard_limit(trial):
    take(trial, silent, 1100)
