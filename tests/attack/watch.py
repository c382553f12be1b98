"""What honest clients and probes see, measured in a process of its own while somebody attacks.

A tenant reads one secret every ten milliseconds on a connection that it keeps; another of its clients connects anew
four times a second; where asked, it writes, and moves values above 16 KiB. /livez is asked as a kubelet does, on new
connections. A call that hangs counts with the time that it has hung already.

A clock beside them tells how late the machine itself lets them wake up, so that what a busy machine does is not put
down to the server.
"""

import math
import multiprocessing
import sys
import threading
import time

import http1
import net
import server

FORK = multiprocessing.get_context("fork")
# Beyond this an honest call is a failure.
PATIENCE = 10
SECRET = "honest/read"
LARGE = "honest/large"


class Series:
    """The latencies of one kind of call, in seconds, and what failed."""

    def __init__(self):
        self.latencies, self.errors = [], []

    def at(self, share):
        if not self.latencies:
            return math.inf
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]

    @property
    def p50(self):
        return self.at(0.5)

    @property
    def p99(self):
        return self.at(0.99)

    @property
    def worst(self):
        return self.at(1)


class Watch:
    """Honest clients of a server, for as long as the `with` lasts."""

    def __init__(self, target, extra=()):
        """`extra` may hold `write` and `large`."""
        self.kinds = ("stall", "read", "connect", "livez", *extra)
        self.target = target

    def __enter__(self):
        self.pipe, theirs = FORK.Pipe()
        arguments = (theirs, self.kinds, self.target.address, self.target.admin, self.target.pid, self.target.region)
        self.process = FORK.Process(target=_main, args=arguments, daemon=True)
        self.process.start()
        if self.pipe.recv() != "ready":
            raise RuntimeError("the honest client did not come to its first answer")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.join()

    def begin(self):
        self.pipe.send("begin")
        self.pipe.recv()

    def end(self):
        """What was seen since `begin`: a series a kind of call, and the highest resident memory in bytes."""
        self.pipe.send("end")
        return self.pipe.recv()


def _main(pipe, kinds, address, admin, pid, region):
    sys.setswitchinterval(0.0005)
    server.hurry(-15)
    board = _Board(kinds)
    how = net.context(region.quiet, "http/1.1", ca=region.ca)
    calls = {
        "read": (_Kept(address, how, "GET", f"/v1/secret/data/{SECRET}"), 0.01),
        "write": (_Kept(address, how, "POST", "/v1/secret/data/honest/write", _value(1 << 10)), 0.02),
        "large": (_Large(address, how), 0.1),
        "connect": (lambda: _anew(address, how), 0.25),
        "livez": (lambda: _live(admin), 0.05),
    }
    prepare = net.tls(address, how, at="127.0.0.1")
    for path, size in ((SECRET, 1 << 10), (LARGE, 64 << 10)):
        status, _ = http1.call(prepare, "POST", f"/v1/secret/data/{path}", _value(size))
        assert status == 200, status
    prepare.close()
    for kind in kinds[1:]:
        call, pause = calls[kind]
        call()
        threading.Thread(target=_repeat, args=(board, kind, call, pause), daemon=True).start()
    threading.Thread(target=_sample, args=(board, pid), daemon=True).start()
    threading.Thread(target=_stall, args=(board,), daemon=True).start()
    pipe.send("ready")
    while True:
        if pipe.recv() == "begin":
            board.clear()
            pipe.send("begun")
        else:
            pipe.send((board.series(), board.resident))


class _Board:
    """What all threads write to."""

    def __init__(self, kinds):
        self.lock, self.kinds = threading.Lock(), kinds
        self.pending = {}
        self.clear()

    def clear(self):
        with self.lock:
            self.all = {kind: Series() for kind in self.kinds}
            self.resident = 0
            self.begun = time.monotonic()

    def series(self):
        with self.lock:
            now = time.monotonic()
            for kind, since in self.pending.items():
                if now - since > 0.05:
                    self.all[kind].latencies.append(now - since)
            return self.all


def _repeat(board, kind, call, pause):
    while True:
        began = time.monotonic()
        board.pending[kind] = began
        error = None
        try:
            call()
        except Exception as wrong:  # whatever it is, the honest client did not get its answer
            error = f"{type(wrong).__name__}: {wrong}"
        ended = time.monotonic()
        with board.lock:
            board.pending.pop(kind, None)
            board.all[kind].latencies.append(ended - max(began, board.begun) if error is None else ended - began)
            if error and began > board.begun:
                board.all[kind].errors.append(error)
        time.sleep(pause)


def _stall(board):
    while True:
        began = time.monotonic()
        time.sleep(0.005)
        with board.lock:
            board.all["stall"].latencies.append(time.monotonic() - began - 0.005)


def _sample(board, pid):
    while True:
        board.resident = max(board.resident, server.resident(pid))
        time.sleep(0.02)


class _Kept:
    """A call on a connection that is kept; made anew after a failure."""

    def __init__(self, address, how, method, path, body=b""):
        self.address, self.how = address, how
        self.request, self.connection = http1.request(method, path, body), None

    def __call__(self):
        try:
            if self.connection is None:
                self.connection = net.tls(self.address, self.how, timeout=PATIENCE, at="127.0.0.1")
            self.connection.sendall(self.request)
            status, _ = http1.answer(self.connection)
        except OSError:
            if self.connection is not None:
                net.close(self.connection)
            self.connection = None
            raise
        if status != 200:
            raise RuntimeError(f"status {status}")


class _Large:
    """A value above 16 KiB, written and read."""

    def __init__(self, address, how):
        path = f"/v1/secret/data/{LARGE}"
        self.calls = _Kept(address, how, "POST", path, _value(64 << 10)), _Kept(address, how, "GET", path)

    def __call__(self):
        for call in self.calls:
            call()


def _anew(address, how):
    connection = net.tls(address, how, timeout=PATIENCE, at="127.0.0.1")
    try:
        status, _ = http1.call(connection, "GET", f"/v1/secret/data/{SECRET}")
    finally:
        connection.close()
    if status != 200:
        raise RuntimeError(f"status {status}")


def _live(admin):
    status = server.admin_status(admin, "/livez", PATIENCE)
    if status != 200:
        raise RuntimeError(f"status {status}")


def _value(size):
    return b'{"data":{"v":"' + b"x" * size + b'"}}'
