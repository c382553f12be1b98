"""Where okmsd's grammar is another one than that of the origin's client, and why. judge.py fails where anything else differs, and
where one of these has not been seen.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote, unquote_to_bytes


@dataclass(frozen=True)
class Reason:
    """Why one takes what the other refuses with this code, or they refuse it with two."""

    why: str
    code: str
    holds: Callable

    def __hash__(self):
        return hash(self.why)


def pieces(uri):
    """The scheme, the path, the fragment and the query; the latter two are None where there are none."""
    scheme, _, rest = uri.partition("://")
    rest, mark, query = rest.partition("?")
    path, sign, fragment = rest.partition("#")
    return scheme, path, fragment if sign else None, query if mark else None


def scheme(pattern):
    return lambda uri: re.fullmatch(pattern, pieces(uri)[0], re.IGNORECASE | re.ASCII) is not None


def segments(uri):
    return pieces(uri)[1].split("/")


def fragment(rule):
    return lambda uri: pieces(uri)[2] is not None and rule(pieces(uri)[2])


def query(rule):
    return lambda uri: pieces(uri)[3] is not None and rule(pieces(uri)[3])


def is_no_text(fragment):
    try:
        return not unquote_to_bytes(fragment).decode().isprintable()
    except UnicodeDecodeError:
        return True


def has_bad_tilde(fragment):
    said = unquote(fragment)
    return said.startswith("/") and re.search("~(?![01])", said) is not None


def is_a_mount(uri):
    path = pieces(uri)[1].removesuffix("/")
    return path in ("secret", "team", "ibmcloud", "ibmcloud/kv")


RAW = re.compile(r"[^A-Za-z0-9._~:=@/!$&'()*+,;%-]|%(?![0-9A-Fa-f]{2})", re.ASCII)

# The client takes it, and okmsd refuses it.
REFUSED = [
    Reason("a provider and no engine is no promise of versions", "UNSUPPORTED_ENGINE", scheme(r"(openbao|hashicorp)\+?|yaml\+")),
    Reason("databases are none of ours, and have one name", "UNSUPPORTED_ENGINE", scheme(r"db|db\+db|db\+|(bootstrap|file)\+")),
    Reason("the origin has providers that are none of ours", "PROVIDER_NOT_SUPPORTED", scheme(r"db\+cred|bootstrap|file")),
    Reason("there is no file of secrets for this domain", "PROVIDER_NOT_SUPPORTED", scheme("yaml")),
    Reason("a scheme is ASCII: no other letter is small k", "ILLEGAL_SEGMENT", lambda uri: not pieces(uri)[0].isascii()),
    Reason("a mount is no secret", "ILLEGAL_SEGMENT", is_a_mount),
    Reason("the mount ibmcloud/kv has two segments", "TENANT_MOUNT_MISMATCH", lambda uri: segments(uri)[0] == "ibmcloud" and segments(uri)[1:2] != ["kv"]),
    Reason("no path goes to where it is", "ILLEGAL_SEGMENT", lambda uri: "." in segments(uri)),
    Reason("a line's end is no part of a name", "ILLEGAL_SEGMENT", lambda uri: any(segment.endswith("\n") for segment in segments(uri))),
    Reason("a path has 1024 bytes at most, and a URI 2048", "ILLEGAL_SEGMENT", lambda uri: len(uri) > 1024),
    Reason("an empty fragment names nothing", "ILLEGAL_SEGMENT", fragment(lambda text: text == "")),
    Reason("what is special in a fragment is escaped", "ILLEGAL_SEGMENT", fragment(RAW.search)),
    Reason("a member's name is printable text", "ILLEGAL_SEGMENT", fragment(is_no_text)),
    Reason("a fragment with a slash is a pointer, as RFC 6901 has it", "ILLEGAL_SEGMENT", fragment(has_bad_tilde)),
    Reason("the fragment stands before the query", "ILLEGAL_SEGMENT", query(lambda text: "#" in text)),
    Reason("nobody has asked for this key", "UNKNOWN_FIELD", query(lambda text: any(pair.partition("=")[0] != "version" for pair in text.split("&")))),
    Reason("an empty key twice is a key twice", "AMBIGUOUS_QUERY", query(lambda text: [pair.partition("=")[0] for pair in text.split("&")].count("") > 1)),
    Reason("a version is a number from 1 to 24000", "INVALID_VERSION", query(lambda text: not re.fullmatch("version=0*[1-9][0-9]{0,4}", text) or int(text[8:]) > 24000)),
]

# Both refuse it, and okmsd with this code.
REFUSED_OTHERWISE = [
    Reason("the origin has a provider that its client does not know", "PROVIDER_NOT_SUPPORTED", scheme("azure")),
    Reason("what has a sign that no scheme has is not of the grammar", "ILLEGAL_SEGMENT", lambda uri: not scheme("[a-z0-9+.-]*")(uri)),
]

# okmsd takes it, and the client refuses it.
TAKEN = [
    Reason("the same tree under the names of others", "UNSUPPORTED_ENGINE", scheme(r"(vault|okms)\+kv2")),
    Reason("two dots within a name go nowhere", "ILLEGAL_SEGMENT", lambda uri: any(".." in segment.strip() and segment != ".." for segment in segments(uri))),
    Reason("names of KV version 2 have any character; some stand for themselves, the others are escaped", "ILLEGAL_SEGMENT", lambda uri: re.search("[~:=@%]", pieces(uri)[1])),
]

# Both take it, and spell it otherwise.
RESPELT = "a fragment is spelt in one way, whichever was asked for, and so is a number"


def respelt(uri):
    """The client's canonical form, in okmsd's spelling: nothing is escaped without need, and a pointer of one step is a name."""
    scheme, path, fragment, query = pieces(uri)
    text = f"{scheme}://{path}"
    if fragment is not None:
        said, signs = unquote(fragment), "._-~:=@/!$&'()*+,;"
        steps = [said]
        if said.startswith("/"):
            steps = [step.replace("~1", "/").replace("~0", "~") for step in said[1:].split("/")]
        if len(steps) == 1 and steps[0] and not steps[0].startswith("/"):
            text += "#" + quote(steps[0], safe=signs)
        else:
            text += "#" + "".join("/" + quote(step.replace("~", "~0").replace("/", "~1"), safe=signs) for step in steps)
    if query is not None:
        text += "?version=" + query.removeprefix("version=").lstrip("0")
    return text
