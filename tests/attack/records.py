"""TLS records by hand: what a peer can send once the handshake is done, if it does not follow its library.

The handshake is a library's. Its key log then tells the keys, with which this client seals records of any size and
kind itself.
"""

import hmac
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import net

ALERT, HANDSHAKE, APPLICATION_DATA = 21, 22, 23
# A handshake message that asks for new keys, and for the peer's new keys as well.
KEY_UPDATE = bytes((24, 0, 0, 1, 1))


class Sealed:
    """A TLS connection whose records are made here. What the server sends is not understood."""

    def __init__(self, address, keylog, version, alpn="http/1.1", **options):
        how = net.context(None, alpn, version)
        # Of TLS 1.2; those of 1.3 cannot be chosen.
        how.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256")
        how.keylog_filename = keylog
        self.socket = net.tcp(address, **options)
        self.is_13 = version == "TLSv1_3"
        server_random = self._shake(how)
        secrets = {}
        with open(keylog) as lines:
            for line in lines:
                if line.startswith("#"):
                    continue
                label, client_random, secret = line.split()
                secrets[label] = bytes.fromhex(client_random), bytes.fromhex(secret)
        if self.is_13:
            self._keys(secrets["CLIENT_TRAFFIC_SECRET_0"][1])
        else:
            client_random, master = secrets["CLIENT_RANDOM"]
            block = _prf(master, b"key expansion" + server_random + client_random, 40)
            # The client's Finished was the first record under them.
            self.cipher, self.salt, self.number = AESGCM(block[:16]), block[32:36], 1

    def records(self, kind, content):
        """One record. An empty one, too, has its tag."""
        number, self.number = struct.pack(">Q", self.number), self.number + 1
        if self.is_13:
            nonce = bytes(a ^ b for a, b in zip(self.salt, b"\0" * 4 + number))
            head = struct.pack(">BHH", APPLICATION_DATA, 0x303, len(content) + 17)
            return head + self.cipher.encrypt(nonce, content + bytes((kind,)), head)
        head = struct.pack(">BHH", kind, 0x303, len(content) + 24)
        bound = number + struct.pack(">BHH", kind, 0x303, len(content))
        return head + number + self.cipher.encrypt(self.salt + number, content, bound)

    def key_updates(self, number):
        """Records that each begin a new generation of keys."""
        sent = []
        for _ in range(number):
            sent.append(self.records(HANDSHAKE, KEY_UPDATE))
            self._keys(_expand(self.secret, b"traffic upd", len(self.secret)))
        return b"".join(sent)

    def _keys(self, secret):
        self.secret, self.number = secret, 0
        # With SHA-384 goes a key of 32 bytes, with SHA-256 one of 16.
        size = 32 if len(secret) == 48 else 16
        self.cipher, self.salt = AESGCM(_expand(secret, b"key", size)), _expand(secret, b"iv", 12)

    def _shake(self, how):
        """The handshake over buffers, so that not a byte more is sent than it needs; the server's random."""
        incoming, outgoing = net.ssl.MemoryBIO(), net.ssl.MemoryBIO()
        library, first = how.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1"), b""
        while True:
            try:
                library.do_handshake()
                done = True
            except net.ssl.SSLWantReadError:
                done = False
            if outgoing.pending:
                self.socket.sendall(outgoing.read())
            if done:
                # Record and message have their heads before it.
                return first[11:43]
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionResetError("the connection ended within the handshake")
            first += data
            incoming.write(data)


def _expand(secret, label, length):
    info = struct.pack(">HB", length, 6 + len(label)) + b"tls13 " + label + b"\0"
    return hmac.digest(secret, info + b"\x01", "sha384" if len(secret) == 48 else "sha256")[:length]


def _prf(secret, seed, length):
    out, link = b"", seed
    while len(out) < length:
        link = hmac.digest(secret, link, "sha256")
        out += hmac.digest(secret, link + seed, "sha256")
    return out[:length]
