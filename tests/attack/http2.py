"""HTTP/2 by hand: frames as bytes, so that a client can do what no library lets it do."""

import select
import struct
import time

import net

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
# Settings.
HEADER_TABLE_SIZE, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 1, 3, 4
CANCEL = 8
WINDOW_MAX = 2**31 - 1


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def settings(pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", key, value) for key, value in pairs))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def literal(name, value):
    """A header that goes into no table. `name` is text, or an index of the static table."""
    return (bytes((name,)) if isinstance(name, int) else b"\0" + text(name)) + text(value)


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return integer(len(value), 7) + value


def integer(number, bits):
    limit = (1 << bits) - 1
    if number < limit:
        return bytes((number,))
    out, number = [limit], number - limit
    while number >= 128:
        out.append(number % 128 | 128)
        number //= 128
    return bytes((*out, number))


def head(method, path, headers=()):
    """A request's header block: the same bytes for every stream, as nothing goes into the table."""
    method = b"\x82" if method == "GET" else b"\x83" if method == "POST" else literal(2, method)
    block = method + b"\x87" + literal(4, path) + literal(1, "127.0.0.1")
    return block + b"".join(literal(name, value) for name, value in headers)


def get(stream, block):
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, block)


class Http2:
    """A connection that has sent its preface. Nothing is read or acknowledged unless it is asked for."""

    def __init__(self, address, how, window=65535, connection_window=0, **options):
        self.socket = net.tls(address, how, **options)
        self.unread, self.at, self.unsent = b"", 0, bytearray()
        self.next_stream = 1
        # What the server is ready to take: of the connection (0), and of streams with a body.
        self.windows, self.first_window = {0: 65535}, 65535
        # What the connection's own window has to be opened by.
        self.taken = 0
        # How many streams it allows; few until it says so.
        self.streams = 10
        # Without a table the status is always spelled out.
        first = PREFACE + settings([(HEADER_TABLE_SIZE, 0), (INITIAL_WINDOW_SIZE, window)])
        if connection_window:
            first += window_update(0, connection_window)
        self.send(first)

    def send(self, data):
        self.socket.sendall(data)

    def exchange(self, requests, seconds=20):
        """Sends requests, each a header block and a body or None, as many at once as the server allows; gives back
        their statuses, 0 for one that was reset. Bodies travel side by side, as far as the server's windows let
        them."""
        waiting, answered, statuses, bodies, data = list(requests), [], {}, {}, self.unsent
        end, number = time.monotonic() + seconds, len(waiting)
        self.socket.setblocking(False)
        while len(answered) < number:
            while waiting and len(statuses) < self.streams:
                block, body = waiting.pop()
                stream, self.next_stream = self.next_stream, self.next_stream + 2
                statuses[stream] = 0
                data += frame(HEADERS, END_HEADERS if body else END_HEADERS | END_STREAM, stream, block)
                if body:
                    bodies[stream] = memoryview(body)
                    self.windows[stream] = self.first_window
            if not data:
                self._next_pieces(data, bodies)
            self._progress(data, end)
            for kind, flags, stream, payload in self._frames():
                if kind == HEADERS and not statuses[stream]:
                    statuses[stream] = status(payload)
                elif kind == DATA:
                    # In large steps: what is opened by crumbs is used in crumbs.
                    self.taken += len(payload)
                    if self.taken > 1 << 14:
                        data += window_update(0, self.taken)
                        self.taken = 0
                elif kind == WINDOW_UPDATE:
                    self.windows[stream] = self.windows.get(stream, 0) + int.from_bytes(payload, "big")
                elif kind == SETTINGS and not flags & ACK:
                    self._set(payload)
                    data += frame(SETTINGS, ACK, 0)
                elif kind == GOAWAY and int.from_bytes(payload[4:8], "big"):
                    raise ConnectionResetError(f"GOAWAY with code {int.from_bytes(payload[4:8], 'big')}")
                is_over = kind == RST_STREAM or kind in (DATA, HEADERS) and flags & END_STREAM
                if is_over and stream in statuses:
                    answered.append(statuses.pop(stream))
                    self.windows.pop(stream, None)
                    if bodies.pop(stream, None) and kind != RST_STREAM:
                        # Answered early: the rest is not sent.
                        data += frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL))
        return answered

    def _next_pieces(self, data, bodies):
        """The next piece of each body that may go."""
        for stream, body in list(bodies.items()):
            size = min(len(body), 16384, self.windows[stream], self.windows[0])
            if size > 0:
                data += frame(DATA, END_STREAM if size == len(body) else 0, stream, bytes(body[:size]))
                self.windows[stream] -= size
                self.windows[0] -= size
                bodies[stream] = body[size:]
                if size == len(body):
                    del bodies[stream]

    def _set(self, payload):
        for key, value in struct.iter_unpack(">HI", payload):
            if key == INITIAL_WINDOW_SIZE:
                for stream in self.windows:
                    self.windows[stream] += value - self.first_window if stream else 0
                self.first_window = value
            if key == MAX_CONCURRENT_STREAMS:
                self.streams = value

    def pour(self, data, end):
        """Sends until `end`, and throws away what comes meanwhile."""
        data = bytearray(data)
        self.socket.setblocking(False)
        while data and time.monotonic() < end:
            self._progress(data, end)
            self.unread, self.at = b"", 0

    def ended_within(self, seconds):
        """Whether the server ends the connection within that time; what it still sends is thrown away."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                self.socket.settimeout(left)
                if not self.socket.recv(1 << 18):
                    return True
            except TimeoutError:
                return False
            except OSError:
                return True
        return False

    def _progress(self, data, end):
        """Waits until something can be sent or read, and does so. One thread does both: TLS is no two pipes."""
        moved = False
        if data:
            try:
                # No more at once than a record: what is left is sent again from its beginning.
                del data[:self.socket.send(data[:16384])]
                moved = True
            except net.WAITS:
                pass
        try:
            more = self.socket.recv(1 << 18)
            if not more:
                raise ConnectionResetError("the connection ended")
            self.unread, self.at = self.unread[self.at:] + more, 0
            moved = True
        except net.WAITS:
            pass
        if not moved:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError("the server neither reads nor answers")
            select.select([self.socket], [self.socket] if data else [], [], left)

    def _frames(self):
        """All frames that are there whole: kind, flags, stream, payload."""
        while len(self.unread) - self.at >= 9:
            length = int.from_bytes(self.unread[self.at:self.at + 3], "big")
            body = self.at + 9
            if len(self.unread) < body + length:
                return
            kind, flags = self.unread[self.at + 3], self.unread[self.at + 4]
            stream = int.from_bytes(self.unread[self.at + 5:body], "big") & WINDOW_MAX
            self.at = body + length
            yield kind, flags, stream, self.unread[body:self.at]

    def close(self):
        net.close(self.socket)


# The statuses that HPACK's static table has, from its index 8 on; and Huffman's code for digits.
_KNOWN = (200, 204, 206, 304, 400, 404, 500)
_DIGITS = {"00000": "0", "00001": "1", "00010": "2"} | {f"{0b11001 - 3 + n:06b}": str(n) for n in range(3, 10)}


def status(block):
    """The status at the beginning of an answer's header block; a change of the table's size may stand before it."""
    at = 0
    while block[at] & 0xe0 == 0x20:
        at += 1
    first = block[at]
    if first & 0x80:
        return _KNOWN[(first & 0x7f) - 8]
    length = block[at + 1]
    value = block[at + 2:at + 2 + (length & 0x7f)]
    if not length & 0x80:
        return int(value)
    bits, digits, code = "".join(f"{byte:08b}" for byte in value), "", ""
    for bit in bits:
        code += bit
        if code in _DIGITS and len(digits) < 3:
            digits, code = digits + _DIGITS[code], ""
    return int(digits)
