"""What connections make the server hold: answers that nobody takes, requests that are larger inside than outside."""

import time

import http1
import http2
import net
from http2 import (DATA, END_HEADERS, HEADERS, INITIAL_WINDOW_SIZE, PREFACE, frame, get, head, literal, settings,
                   window_update)
from attacks.tenant import many_names
from trial import attack

CONNECTIONS = 400
# As many as clients open before they are told how many they may; and few enough for a server that is careful.
STREAMS, FEW = 100, 16
# The attacker opens connections for so long at most.
OPENING = 8
ENDED_WITHIN = 30
# Places for feeds, of which a domain has a quarter.
FEEDS = 1024


def gets(path, window, streams=FEW):
    """Requests for `path`, which then take `window` bytes each."""
    block = head("GET", path)
    first = PREFACE + settings([(INITIAL_WINDOW_SIZE, window)])
    return first + b"".join(get(1 + 2 * n, block) for n in range(streams))


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


def held(trial, *attacks):
    """One attacker for each of `attacks`, until all their connections are open."""
    attackers = [trial.start(hold, trial.address, *each) for each in attacks]
    taken = sum(attacker.result() for attacker in attackers)
    trial.note(f"{taken} connections")
    trial.check("no connection was taken", taken)


def untaken(trial, *attacks):
    """The same; and the server must let go of nearly all of the connections in time."""
    before = trial.server.sockets()
    held(trial, *attacks)
    began = time.monotonic()
    # Honest clients come and go.
    while trial.server.sockets() > before + 8 and time.monotonic() < began + ENDED_WITHIN:
        time.sleep(0.1)
    trial.hold("let go after", time.monotonic() - began, ENDED_WITHIN, " s")


@attack("untaken answers, window 0", rss=96)
def window_0(trial):
    """2-3.7 MiB a connection, held for two minutes: with 768 MiB of memory the process was gone after 1.2 s."""
    how, requests = net.context(), gets("/openapi.json", 0, STREAMS)
    untaken(trial, (how, requests, CONNECTIONS // 2), (how, requests, CONNECTIONS // 2))


@attack("untaken answers, in every way", rss=96)
def every_way(trial):
    """Few at once; windows that are wide, before a socket that is full; a byte of each now and then: a connection that
    takes next to nothing may hold no more than one that takes nothing."""
    how, each = net.context(), CONNECTIONS // 4
    drip = b"".join(window_update(1 + 2 * n, 1) for n in range(FEW))
    untaken(
        trial,
        (how, gets("/openapi.json", 1), each),
        (how, gets("/swagger/swagger-ui-bundle.js", http2.WINDOW_MAX), each),
        (how, gets("/openapi.json", 0) + window_update(0, 1 << 20), each, drip),
        (net.context(None, "http/1.1"), http1.request("GET", "/swagger/swagger-ui-bundle.js") * 20, each),
    )


def followers(trial):
    """What asks for all events of the attacker's domain, as they come."""
    domain = trial.region.loud.domain
    path = f"/api/{domain}/v2/events?since=first&limit=1000"
    one = http1.request("GET", path, headers=["Accept: text/event-stream"])
    two = PREFACE + settings([]) + get(1, head("GET", path, [("accept", "text/event-stream")]))
    return one, two


@attack("a tenant's untaken feeds", rss=128, settings={"LIMITS__FEEDS": str(FEEDS)}, prepare=many_names)
def feeds(trial):
    """As many as one tenant has places for, behind ten thousand events with the longest names: who takes nothing of them
    is left, whichever protocol he speaks, and what waits for him meanwhile is little."""
    first, second = followers(trial)
    h1, h2 = net.context(trial.region.loud, "http/1.1"), net.context(trial.region.loud)
    untaken(trial, (h1, first, FEEDS // 8), (h2, second, FEEDS // 8))


# Requests. None of what these send is ever complete, or none of it is taken.

def bodies(address, how, request, connections):
    """Requests with a body of nearly a MiB each, which do not end; gives back how many were sent."""
    held, end = [], time.monotonic() + OPENING
    piece = frame(DATA, 0, 1, b"x" * 16_384)
    while len(held) < connections and time.monotonic() < end:
        try:
            connection = net.tls(address, how, timeout=1)
            connection.sendall(PREFACE + settings([(INITIAL_WINDOW_SIZE, 0)]))
            # The windows are wide once the server has said so.
            connection.recv(4096)
            connection.sendall(frame(http2.SETTINGS, http2.ACK, 0) + request)
            connection.sendall(piece * 60)
            held.append(connection)
        except OSError:
            time.sleep(0.02)
    yield len(held)
    time.sleep(OPENING)


@attack("bodies of reads, a tenant", rss=320, prepare=many_names)
def bodies_of_reads(trial):
    """Lists wait for their turns; what came with them lay uncounted in the server: 490 MiB of 400 connections. What the
    connections' windows hold is 234 to 257 MiB."""
    how = net.context(trial.region.loud)
    request = frame(HEADERS, END_HEADERS, 1, head("GET", "/v1/secret/detailed-metadata/names?list=true"))
    attackers = [trial.start(bodies, trial.address, how, request, 200) for _ in range(2)]
    trial.note(f"{sum(attacker.result() for attacker in attackers)} requests")
    time.sleep(ARRIVED)


NO_WINDOW = PREFACE + settings([(INITIAL_WINDOW_SIZE, 0)])


def crowded(method, path, streams):
    """Heads of 1,400 headers, which are a byte each on the wire; a body of ten bytes does not come."""
    entry = b"\x40" + http2.text("a") + http2.text("b")
    block = head(method, path) + (literal("content-length", "10") if method == "POST" else b"")
    flags = END_HEADERS if method == "POST" else END_HEADERS | http2.END_STREAM
    heads = [frame(HEADERS, flags, 1, block + entry + b"\xbe" * 1400)]
    heads += [frame(HEADERS, flags, 1 + 2 * n, block + b"\xbe" * 1400) for n in range(1, streams)]
    return NO_WINDOW + b"".join(heads)


def crumbs(path, streams):
    """Bodies in frames of one byte each, as many as the server's windows allow at first."""
    block, crumb = head("POST", path) + literal("content-length", "100000"), 65_000 // streams
    numbers = [1 + 2 * n for n in range(streams)]
    return NO_WINDOW + b"".join(
        frame(HEADERS, END_HEADERS, number, block) + frame(DATA, 0, number, b" ") * crumb for number in numbers)


# How long it takes until what was sent has arrived.
ARRIVED = 2


@attack("crowded heads, strangers", rss=128)
def crowded_strangers(trial):
    """A head of 14 KiB by what it says is 150 KiB by what it takes: 960 MiB if all were kept; 90 to 114 are."""
    how, requests = net.context(), crowded("GET", "/openapi.json", FEW)
    held(trial, (how, requests, CONNECTIONS // 2), (how, requests, CONNECTIONS // 2))
    time.sleep(ARRIVED)


@attack("crowded heads, a tenant", rss=192)
def crowded_tenant(trial):
    """A body that does not come keeps its head."""
    held(trial, (net.context(trial.region.loud), crowded("POST", "/v1/secret/data/slow", STREAMS), 30))
    time.sleep(ARRIVED)


@attack("bodies in crumbs", rss=128)
def crumbs_of_bodies(trial):
    """Each byte of a body that has arrived costs a frame's place in a queue."""
    tenant = net.context(trial.region.loud)
    held(trial, (net.context(), crumbs("/nowhere", 1), 60), (tenant, crumbs("/v1/secret/data/slow", 4), 60))
    time.sleep(ARRIVED)


@attack("chunks in crumbs", rss=128)
def crumbs_of_chunks(trial):
    body = b"1\r\n \r\n" * 60_000
    request = b"POST /v1/secret/data/slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    held(trial, (net.context(trial.region.loud, "http/1.1"), request, 20))
    time.sleep(ARRIVED)


# As many as its share of the connections lets it have, a hundred on each.
@attack("untaken refusals, a tenant", rss=224)
def refusals(trial):
    """What is refused is told whatever it costs; but to nobody who does not listen."""
    how, requests = net.context(trial.region.loud), gets("/nowhere", 0, STREAMS)
    held(trial, (how, requests, 150), (how, requests, 150))
    time.sleep(ARRIVED)
