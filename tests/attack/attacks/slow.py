"""Peers that are slow on purpose, and records of TLS that bring nothing."""

import itertools
import os
import select
import tempfile
import time

import http1
import http2
import net
import records
from trial import attack

# Times that let a slow peer be seen to its end.
SHORT = {f"LIMITS__{name}_TIME": time for name, time in {
    "HANDSHAKE": "2s", "FIRST_BYTE": "2s", "HEAD": "2s", "BODY": "2s", "REQUEST": "2s", "IDLE": "3s"}.items()}
ENDED_WITHIN = 9
EACH = 20
HELLO = bytes.fromhex("16030102000100 01fc0303".replace(" ", "")) + bytes(505)


def plain(address, how):
    return net.tcp(address)


def shaken(address, how):
    return net.tls(address, how, receive_buffer=4096)


def fragments(data):
    """Each byte of a handshake message in a record of its own."""
    return b"".join(b"\x16\x03\x01\x00\x01" + data[at:at + 1] for at in range(5, len(data)))


HEAD = http1.request("GET", "/v1/sys/health", headers=[f"x-{number}: y" for number in range(50)])
BODY = http1.request("POST", "/v1/secret/data/slow", b" " * 5000)
MANY = http1.request("GET", "/openapi.json") * 10
PREFACE_2 = http2.PREFACE + http2.settings([])
HEADERS_2 = PREFACE_2 + http2.frame(http2.HEADERS, 0, 1, http2.head("GET", "/v1/sys/health"))

# Whoever takes his answer by bytes does not read as far as its end; the server's sockets tell.
UNREAD = "an answer by bytes"

# How the connection is made, by whom, what is sent at once, and what a byte at a time.
SLOW = {
    "nothing": (plain, None, b"", b""),
    "half a hello": (plain, None, HELLO[:100], b""),
    "a hello by bytes": (plain, None, b"", HELLO),
    "a hello by records": (plain, None, b"", fragments(HELLO)),
    "nothing after the handshake": (shaken, "http/1.1", b"", b""),
    "a head by bytes": (shaken, "http/1.1", b"", HEAD),
    "a body by bytes": (shaken, "http/1.1", BODY[:-5000], BODY[-5000:]),
    UNREAD: (shaken, "http/1.1", MANY, b""),
    "nothing in HTTP/2": (shaken, "h2", b"", b""),
    "a preface by bytes": (shaken, "h2", b"", PREFACE_2),
    "a preface alone": (shaken, "h2", PREFACE_2, b""),
    "half a frame": (shaken, "h2", PREFACE_2 + b"\0\0", b""),
    "half a head": (shaken, "h2", HEADERS_2, b""),
    "a head by CONTINUATION": (shaken, "h2", HEADERS_2, http2.frame(http2.CONTINUATION, 0, 1, b"\0\1a\1b") * 50),
}


def slow(address, names, holder):
    """Connections of each kind; twice a second each sends a byte and takes one. Ends when told so."""
    hows = {alpn: net.context(holder, alpn) for alpn in ("http/1.1", "h2")}
    open_ones = []
    for name in names:
        make, alpn, first, drip = SLOW[name]
        for _ in range(EACH):
            connection = make(address, hows.get(alpn))
            connection.sendall(first)
            connection.setblocking(False)
            open_ones.append((name, connection, iter(drip)))
    yield len(open_ones)
    end = time.monotonic() + ENDED_WITHIN
    while open_ones and time.monotonic() < end:
        open_ones = [one for one in open_ones if goes_on(*one)]
        time.sleep(0.5)
    yield sorted({name for name, _, _ in open_ones} - {UNREAD})


def goes_on(name, connection, drip):
    try:
        for byte in itertools.islice(drip, 1):
            connection.send(bytes((byte,)))
    except net.WAITS:
        pass
    except OSError:
        return False
    try:
        size = 1 if name == UNREAD else 1 << 16
        return connection.recv(size) != b""
    except net.WAITS:
        return True
    except OSError:
        return False


@attack("slow peers", settings=SHORT)
def peers(trial):
    before, cpu = trial.server.sockets(), trial.server.cpu()
    attackers = [trial.start(slow, trial.address, list(SLOW), holder) for holder in (None, trial.region.loud)]
    trial.note(f"{sum(attacker.result() for attacker in attackers)} connections")
    for whose, attacker in zip(("a stranger's", "a tenant's"), attackers):
        left = attacker.result()
        trial.check(f"not ended within {ENDED_WITHIN} s: {whose} {', '.join(left)}", not left)
    trial.check(f"{trial.server.sockets() - before} sockets are left", trial.server.sockets() <= before + 8)
    trial.hold("CPU", trial.server.cpu() - cpu, 3.0, " s")


# Records.

SECONDS = 2
CPU = 0.7
BATCH = 4000


def ones(sealed):
    """A head that goes on and on, each byte in a record."""
    return b"".join(sealed.records(records.APPLICATION_DATA, b"GET / HTTP/1.1\r\nx: "[number:number + 1] or b"y")
                    for number in range(sealed.number, sealed.number + BATCH))


def empties(sealed):
    return b"".join(sealed.records(records.APPLICATION_DATA, b"") for _ in range(BATCH))


def updates(sealed):
    return sealed.key_updates(BATCH)


def hellos(sealed):
    """A client that begins anew within its connection, in TLS 1.2."""
    return b"".join(sealed.records(records.HANDSHAKE, HELLO[5:]) for _ in range(BATCH))


def warnings(sealed):
    """no_renegotiation, as a warning."""
    return b"".join(sealed.records(records.ALERT, b"\x01\x64") for _ in range(BATCH))


# What is sent first, and in which version of TLS.
RECORDS = {
    "bytes of a head": (ones, "TLSv1_3"),
    "empty records": (empties, "TLSv1_3"),
    "empty records, TLS 1.2": (empties, "TLSv1_2"),
    "key updates": (updates, "TLSv1_3"),
    "renegotiation": (hellos, "TLSv1_2"),
    "warnings": (warnings, "TLSv1_2"),
    "warnings, TLS 1.3": (warnings, "TLSv1_3"),
}


def flood(address, kind):
    """Gives back how many bytes were taken, and whether the server put an end to it."""
    batch, version = RECORDS[kind]
    with tempfile.NamedTemporaryFile() as keylog:
        sealed = records.Sealed(address, keylog.name, version, timeout=SECONDS)
    sent, end = 0, time.monotonic() + SECONDS
    try:
        while time.monotonic() < end:
            data = batch(sealed)
            sealed.socket.sendall(data)
            sent += len(data)
        yield sent, ended(sealed.socket)
    except OSError:
        yield sent, True


def ended(connection):
    """Whether the server ends it within half a second."""
    end = time.monotonic() + 0.5
    while (left := end - time.monotonic()) > 0:
        if select.select([connection], [], [], left)[0] and not connection.recv(1 << 16):
            return True
    return False


def fragmented(address, size):
    """A hello of `size` bytes in records of one, at once."""
    message = b"\x01" + (size - 4).to_bytes(3, "big") + os.urandom(size - 4)
    connection = net.tcp(address)
    try:
        connection.sendall(fragments(b"\0" * 5 + message))
        yield size, ended(connection)
    except OSError:
        yield size, True


@attack("floods of TLS records")
def tls_records(trial):
    """None of these is a fault of its own; a flood of them is."""
    floods = [(kind, flood, (kind,)) for kind in RECORDS] + [("a hello of 60 KB by bytes", fragmented, (60_000,))]
    dear = 0.0, ""
    for kind, function, arguments in floods:
        before = trial.server.cpu()
        sent, over = trial.start(function, trial.address, *arguments).result()
        cpu = trial.server.cpu() - before
        trial.detail(f"{kind}: {sent >> 10} KiB, {cpu:.2f} s of CPU, {'ended' if over else 'not ended'}")
        trial.check(f"{kind}: is not ended", over)
        if cpu > CPU:
            trial.fail(f"{kind}: {cpu:.1f} s of CPU > {CPU} s")
        dear = max(dear, (cpu, kind))
    trial.note(f"most CPU: {dear[0]:.2f} s of {dear[1]}")
