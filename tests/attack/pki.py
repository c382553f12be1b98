"""Certificates that no honest authority issues."""

import datetime
import itertools
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from net import Holder

_DAY = datetime.timedelta(days=1)


def key():
    return ec.generate_private_key(ec.SECP256R1())


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def authority(subject, private_key):
    return certificate(name(subject), private_key.public_key(), name(subject), private_key, True)


def certificate(subject, public_key, issuer, issuer_key, is_ca=False, names=()):
    """Signed by `issuer_key` in the name of `issuer`; `names` are URIs beside the subject."""
    now = datetime.datetime.now(datetime.UTC)
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
               .serial_number(x509.random_serial_number()).not_valid_before(now - _DAY).not_valid_after(now + 30 * _DAY)
               .add_extension(x509.BasicConstraints(is_ca, None), True))
    if is_ca:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    else:
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
    if names:
        names = [x509.UniformResourceIdentifier(each) for each in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    return builder.add_extension(usage, True).sign(issuer_key, hashes.SHA256())


def with_serial(signed, octets, issuer_key):
    """The bytes of the same certificate with a serial number of so many octets, signed again."""
    version, serial, *others = _parts(signed.tbs_certificate_bytes)
    _, algorithm, _ = _parts(signed.public_bytes(serialization.Encoding.DER))
    serial = _der(0x02, b"\x7f" * octets)
    content = _der(0x30, version + serial + b"".join(others))
    signature = issuer_key.sign(content, ec.ECDSA(hashes.SHA256()))
    return _der(0x30, content + algorithm + _der(0x03, b"\0" + signature))


def _der(tag, content):
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 128 | len(length))) + length + content


def _parts(der):
    """The elements of a sequence, each with its tag."""
    def content_at(at):
        size = der[at + 1]
        if size < 128:
            return at + 2, size
        return at + 2 + size % 128, int.from_bytes(der[at + 2:at + 2 + size % 128], "big")

    at, parts = content_at(0)[0], []
    while at < len(der):
        start, size = content_at(at)
        parts.append(der[at:start + size])
        at = start + size
    return parts


def lookalikes(top, levels, each):
    """A leaf with its key, and `levels` times `each` intermediates of the same names and different keys below `top`:
    whoever looks for a path tries them all, one below another."""
    issuers = [name(f"level {level}") for level in range(levels)] + [top]
    leaf_key = key()
    signer = key()
    chain = [certificate(name("leaf"), leaf_key.public_key(), issuers[0], signer)]
    for level, _ in itertools.product(range(levels), range(each)):
        chain.append(certificate(issuers[level], key().public_key(), issuers[level + 1], signer, True))
    return chain, leaf_key


def save(folder, stem, chain, private_key):
    """Writes a chain, of certificates or of their bytes, and its key; gives them back as a client uses them."""
    Path(folder).mkdir(exist_ok=True)
    der = (each if isinstance(each, bytes) else each.public_bytes(serialization.Encoding.DER) for each in chain)
    certificate_path, key_path = Path(folder) / f"{stem}_certificate.pem", Path(folder) / f"{stem}_privatekey.pem"
    certificate_path.write_text("".join(ssl.DER_cert_to_PEM_cert(each) for each in der))
    key_path.write_bytes(private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return Holder(str(certificate_path), str(key_path))
