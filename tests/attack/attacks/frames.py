"""Floods of HTTP/2 frames that ask for nothing, by a stranger and by a tenant."""

import itertools
import struct
import time

import http2
import net
from http2 import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
                   WINDOW_UPDATE, frame, get, head, integer, literal, settings)
from trial import attack

# How much of each flood is sent, if the server takes it.
SECONDS = 2
BATCH = 1 << 18
# So many kinds at once; what they may cost together, and how far each may come. Of the bytes some megabytes can lie in
# the kernel's buffers.
AT_ONCE = 6
CPU = 0.7
MIB = 1 << 20
SENT_MIB = 24

HEALTH = head("GET", "/v1/sys/health")
POST = head("POST", "/nowhere")
# A request whose answer nobody takes.
UNTAKEN = settings([(http2.INITIAL_WINDOW_SIZE, 0)]) + get(1, head("GET", "/openapi.json"))
PRIOR = frame(PRIORITY, 0, 3, struct.pack(">IB", 1, 16))
BYE = frame(GOAWAY, 0, 0, struct.pack(">II", http2.WINDOW_MAX, 0))


def same(one, first=b""):
    """One frame again and again, after `first`."""
    batch = one * max(1, BATCH // len(one))
    return itertools.chain([first + batch], itertools.repeat(batch))


def each(one, first=b"", count=2000):
    """`one(stream)` for one new stream after another."""
    streams = iter(range(3, http2.WINDOW_MAX, 2))
    yield first
    while True:
        yield b"".join(one(stream) for stream in itertools.islice(streams, count))


def continuation():
    """A head that has no end, in pieces that are small."""
    return same(frame(CONTINUATION, 0, 1, literal("a", "b") * 8), frame(HEADERS, END_STREAM, 1, HEALTH))


def bomb():
    """One large header put into the table once, and named 4,000 times by a byte each in every further head."""
    entry = b"\x40" + http2.text("a") + integer(3900, 7) + b"b" * 3900
    first = get(1, HEALTH + entry)
    return each(lambda stream: get(stream, HEALTH + b"\xbe" * 4000), first)


def many(stream):
    """Of the hundred streams that may be open, all are, with a body that never comes; the others are refused."""
    return frame(HEADERS, END_HEADERS, stream, POST)


FLOODS = {
    "PRIORITY": lambda: same(PRIOR),
    "PRIORITY beside requests": lambda: each(lambda stream: get(stream, HEALTH) + PRIOR * 10_000, count=1),
    "WINDOW_UPDATE": lambda: same(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1))),
    "WINDOW_UPDATE of a stream": lambda: same(
        frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1)), frame(HEADERS, END_HEADERS, 1, POST)),
    "unknown": lambda: same(frame(0xfa, 0, 0)),
    "unknown, 16 KiB": lambda: same(frame(0xfa, 0, 0, bytes(16384))),
    "GOAWAY": lambda: same(BYE),
    "GOAWAY beside a request": lambda: same(BYE, UNTAKEN),
    "PING": lambda: same(frame(PING, 0, 0, bytes(8))),
    "PING's answer": lambda: same(frame(PING, http2.ACK, 0, bytes(8))),
    "SETTINGS": lambda: same(settings([(http2.INITIAL_WINDOW_SIZE, 65535)])),
    "SETTINGS, large": lambda: same(settings([(http2.INITIAL_WINDOW_SIZE, 65535)] * 2730)),
    "SETTINGS' answer": lambda: same(frame(SETTINGS, http2.ACK, 0)),
    "empty DATA": lambda: same(frame(DATA, 0, 1), frame(HEADERS, END_HEADERS, 1, POST)),
    "padded DATA": lambda: same(frame(DATA, 8, 1, b"\xff" + bytes(255)), frame(HEADERS, END_HEADERS, 1, POST)),
    "DATA after the end": lambda: same(frame(DATA, 0, 1), get(1, HEALTH)),
    "RST_STREAM": lambda: same(frame(RST_STREAM, 0, 1, bytes(4)), get(1, HEALTH)),
    "rapid reset": lambda: each(lambda stream: get(stream, HEALTH) + frame(RST_STREAM, 0, stream, bytes(4))),
    "faulty heads": lambda: each(lambda stream: get(stream, b"\x82")),
    "refused streams": lambda: each(many),
    "CONTINUATION": continuation,
    "HPACK bomb": bomb,
}


def flood(address, how, kind, reads):
    """Sends a flood; gives back how many bytes were taken, and whether the server put an end to it."""
    connection = http2.Http2(address, how, timeout=SECONDS)
    sent, ended, end = 0, False, time.monotonic() + SECONDS
    try:
        for batch in FLOODS[kind]():
            if reads:
                connection.pour(batch, end)
            else:
                connection.send(batch)
            sent += len(batch)
            if time.monotonic() > end:
                break
        ended = connection.ended_within(0.5)
    except OSError:
        # A server that waits for its answers to be taken reads no more, which is as good.
        ended = True
    yield sent, ended


def floods(trial, how, kinds):
    """A few kinds at once: a server that ends a connection may take its time for the farewell."""
    kinds = [(kind, False) for kind in kinds] + [("PING", True), ("SETTINGS", True)]
    far, dear = (0, ""), (0.0, "")
    for batch in (kinds[at:at + AT_ONCE] for at in range(0, len(kinds), AT_ONCE)):
        before = trial.server.cpu()
        attackers = [trial.start(flood, trial.address, how, *each) for each in batch]
        for (kind, reads), attacker in zip(batch, attackers):
            sent, ended = attacker.result()
            name = f"{kind} with answers read" if reads else kind
            trial.detail(f"{name}: {sent / MIB:.1f} MiB, {'ended' if ended else 'not ended'}")
            trial.check(f"{name}: is not ended", ended)
            if sent > SENT_MIB * MIB:
                trial.fail(f"{name}: {sent // MIB} MiB were taken > {SENT_MIB} MiB")
            far = max(far, (sent, name))
        cpu, names = trial.server.cpu() - before, ", ".join(kind for kind, _ in batch)
        if cpu > CPU:
            trial.fail(f"{names}: {cpu:.1f} s of CPU > {CPU} s")
        dear = max(dear, (cpu, names))
    trial.note(f"most bytes: {far[0] / MIB:.1f} MiB of {far[1]}")
    trial.note(f"most CPU: {dear[0]:.2f} s of {dear[1]}")


@attack("floods of frames, a stranger")
def stranger(trial):
    """PRIORITY, WINDOW_UPDATE, unknown frames and GOAWAY took one core a connection, millions a second."""
    floods(trial, net.context(), FLOODS)


@attack("floods of frames, a tenant")
def tenant(trial):
    """A certificate changes nothing about it."""
    kinds = ["PRIORITY", "WINDOW_UPDATE", "unknown", "PING's answer", "RST_STREAM"]
    floods(trial, net.context(trial.region.loud), kinds)
