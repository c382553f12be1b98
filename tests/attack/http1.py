"""HTTP/1.1, as far as an honest client needs it: requests as bytes, answers read whole."""


def request(method, path, body=b"", headers=()):
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if body or method not in ("GET", "HEAD", "DELETE", "LIST"):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def answer(connection):
    """The status and body of one answer with a length, from the beginning of what is unread."""
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(65536)
        if not more:
            raise ConnectionResetError("the connection ended before the answer")
        head += more
    head, body = head.split(b"\r\n\r\n", 1)
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    parts = [body]
    missing = length - len(body)
    while missing > 0:
        more = connection.recv(min(missing, 1 << 18))
        if not more:
            raise ConnectionResetError("the connection ended within the answer")
        parts.append(more)
        missing -= len(more)
    return int(head[9:12]), b"".join(parts)


def call(connection, method, path, body=b"", headers=()):
    connection.sendall(request(method, path, body, headers))
    return answer(connection)
