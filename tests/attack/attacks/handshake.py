"""Handshakes: chains that make a verifier search, and what can be sent before a certificate is known."""

import time

import http1
import net
import pki
from cryptography import x509
from trial import attack

ATTACKERS = 4
SECONDS = 4


def shake(address, how, seconds):
    """Handshakes one after another; gives back how many the server has read whole."""
    done, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            connection = net.tls(address, how, timeout=10)
            # TLS 1.3 lets the client end its part before the server has judged it.
            connection.recv(1)
            connection.close()
        except OSError:
            pass
        done += 1
    yield done


def costs(trial, hows, bound):
    """All attackers in a loop; the bound is for one handshake."""
    began = trial.server.cpu()
    attackers = [trial.start(shake, trial.address, how, SECONDS) for how in hows]
    done = sum(attacker.result() for attacker in attackers)
    each = (trial.server.cpu() - began) / done
    trial.note(f"{done} handshakes")
    trial.hold("CPU each", each * 1000, bound, " ms")


def lookalikes(trial, version):
    region = trial.region
    top = x509.load_pem_x509_certificate(open(region.ca, "rb").read()).subject
    hows = []
    # Below a name that nobody knows the search has no end; below the region's own it ends in signatures.
    for stem, above in ("foreign", pki.name("nobody")), ("region", top):
        chain, key = pki.lookalikes(above, 5, 15)
        client = pki.save(region.work / "chains", stem, chain, key)
        hows.append(net.context(client, None, version))
    costs(trial, hows * (ATTACKERS // 2), 5)


@attack("look-alike chains, TLS 1.3")
def chains_13(trial):
    """43.7 KB that cost 1.86 s of processor time on an async worker: four of them stopped everybody, /livez too."""
    lookalikes(trial, "TLSv1_3")


@attack("look-alike chains, TLS 1.2")
def chains_12(trial):
    lookalikes(trial, "TLSv1_2")


def login(address, how, times):
    """Logs in with a certificate, if it gets that far; gives back what came of it."""
    found = []
    for _ in range(times):
        try:
            connection = net.tls(address, how, timeout=8)
            found.append(http1.call(connection, "POST", "/v1/auth/cert/login")[0])
            connection.close()
        except OSError as error:
            found.append(type(error).__name__)
    yield found


def customers_leaf(region, key, names=()):
    issuer = region.customer.subject
    return pki.certificate(pki.name("leaf"), key.public_key(), issuer, region.customer_key, names=names)


def costly_certificate(trial, leaf, key):
    """Three clients with a certificate that a customer's authority did sign."""
    times, good = 2, pki.save(trial.region.work / "chains", "good", [customers_leaf(trial.region, key)], key)
    logged_in = next(login(trial.address, net.context(good, "http/1.1"), 1))
    trial.check(f"a customer's ordinary certificate does not get in: {logged_in}", logged_in == [200])
    how = net.context(pki.save(trial.region.work / "chains", "costly", [leaf], key), "http/1.1")
    before = trial.server.cpu()
    attackers = [trial.start(login, trial.address, how, times) for _ in range(3)]
    found = [attacker.result() for attacker in attackers]
    trial.note(f"{found[0][0]}")
    # Honest clients' share is in it.
    trial.hold("CPU each", (trial.server.cpu() - before) / times / 3 * 1000, 50, " ms")


@attack("a serial of 60 KB")
def serial(trial):
    """Written in decimal in quadratic time: 14.3 s for one login, and three of them stopped everybody for 30 s."""
    region, key = trial.region, pki.key()
    leaf = customers_leaf(region, key)
    costly_certificate(trial, pki.with_serial(leaf, 60_000, region.customer_key), key)


@attack("a certificate of 2,000 names")
def names(trial):
    region, key = trial.region, pki.key()
    names = [f"spiffe://customer/{number:08}" for number in range(2000)]
    costly_certificate(trial, customers_leaf(region, key, names), key)


def sessions(address, how, number):
    """Full handshakes whose sessions could be resumed; gives back how many."""
    for _ in range(number):
        try:
            connection = net.tls(address, how)
            http1.call(connection, "GET", "/v1/sys/health")
            connection.close()
        except OSError:
            pass
    yield number


@attack("sessions with large chains", rss=40)
def large_sessions(trial):
    """A session that can be resumed keeps the client's chain, with whatever the client put into it."""
    region, key = trial.region, pki.key()
    leaf = customers_leaf(region, key)
    names = [f"spiffe://customer/{number:08}" for number in range(1700)]
    other = pki.certificate(pki.name("other"), key.public_key(), pki.name("nobody"), key, names=names)
    how = net.context(pki.save(region.work / "chains", "large", [leaf, other], key), "http/1.1")
    attackers = [trial.start(sessions, trial.address, how, 500) for _ in range(2)]
    trial.note(f"{sum(attacker.result() for attacker in attackers)} handshakes")


def hellos(address, hello, seconds):
    """Lets the server do its part of a handshake, which is the dear one, and leaves."""
    number, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            connection = net.tcp(address)
            connection.sendall(hello)
            connection.recv(1 << 16)
            connection.close()
            number += 1
        except OSError:
            pass
    yield number


@attack("hellos", rss=96)
def many_hellos(trial):
    """The same hello again and again, which costs the client nothing, and the server a key exchange and a signature."""
    incoming, outgoing = net.ssl.MemoryBIO(), net.ssl.MemoryBIO()
    try:
        net.context().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1").do_handshake()
    except net.ssl.SSLWantReadError:
        pass
    hello = outgoing.read()
    attackers = [trial.start(hellos, trial.address, hello, SECONDS) for _ in range(4)]
    trial.note(f"{sum(attacker.result() for attacker in attackers)} hellos")
