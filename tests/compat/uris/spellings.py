"""URIs of secrets: as both grammars have them, with one fault, and with a few characters gone wrong."""

import random
import string
from dataclasses import dataclass, replace

PLAIN = string.ascii_letters + string.digits + "._-"
# What stands for something in a URI, or does in some other grammar.
SIGNS = "/#?%&=+*.:@~!$'(),;[]{}<>|\\^`\" \t\n\r\0\x7fé€\u00a0\u200b\u212a\U0001f511"
MOUNTS = (["secret"], ["team"], ["ibmcloud", "kv"])


@dataclass(frozen=True)
class Parts:
    scheme: str
    segments: tuple
    fragment: str | None = None
    query: str | None = None
    sign: str = "://"
    end: str = ""

    def __str__(self):
        text = self.scheme + self.sign + "/".join(self.segments) + self.end
        text += "" if self.fragment is None else f"#{self.fragment}"
        return text + ("" if self.query is None else f"?{self.query}")


def put(**members):
    """A URI that has these members."""
    return lambda parts, _: replace(parts, **members)


def behind_the_mount(parts):
    return 2 if parts.segments[0] == "ibmcloud" else 1


def among(segment):
    """One with this segment at some place behind the mount."""

    def fault(parts, random):
        segments = list(parts.segments)
        segments.insert(random.randrange(behind_the_mount(parts), len(segments) + 1), segment)
        return replace(parts, segments=tuple(segments))

    return fault


def within(text):
    """One with this text in a segment behind the mount."""

    def fault(parts, random):
        segments = list(parts.segments)
        at = random.randrange(behind_the_mount(parts), len(segments))
        cut = random.randrange(1, len(segments[at]) + 1)
        segments[at] = segments[at][:cut] + text + segments[at][cut:]
        return replace(parts, segments=tuple(segments))

    return fault


FAULTS = [
    *(put(scheme=name) for name in ("ftp", "openbao+kv1", "hashicorp+kv", "yaml+kv2", "db+kv2", "aws+sm", "s3", "")),
    *(put(scheme=name) for name in ("openbao", "hashicorp", "openbao+", "vault+kv2", "OKMS+kv2", "openbao+\u212av2", " openbao+kv2", "openbao+kv2 ")),
    *(put(scheme=name) for name in ("yaml", "yaml+", "db", "db+cred", "db+db", "bootstrap", "file", "azure")),
    *(put(sign=sign) for sign in (":/", ":", "/", "")),
    *(put(segments=segments) for segments in (("nowhere", "a"), ("ibmcloud", "a"), ("Secret", "a"), ("secrets", "a"))),
    *(put(segments=segments) for segments in (("secret",), ("team",), ("",), ("", "secret", "a"), ("*", "a"))),
    *(put(segments=segments) for segments in (("s%65cret", "a"), ("secret", "a" * 1025), ("secret", "a" * 2048))),
    *(among(segment) for segment in ("", ".", "..", "*", "%2e", "%2E%2e", "~", "=", "%20")),
    *(within(text) for text in ("%2F", "%2f", "*", "..", "~", ":", "=", "@", "%41", "%20", "%C3%BC", "%2A", "%252F")),
    *(within(text) for text in (" ", '"', "<", "+", "!", "ü", "\\", "\t", "\0", "%", "%4", "%zz", "%FF", "%0A", "%e2%80%8b")),
    *(put(fragment=text) for text in ("", "a#b", "a##", "#", "a b", "ü", '"', "[0]", "%", "%4g", "%FF", "%00", "a\n")),
    *(put(fragment=text) for text in ("a%2Db", "%61", "/a", "/a/b", "/", "//", "/~0~1", "/~1a", "/a~", "/~2", "a~b", "%2Fa%2fb")),
    *(put(fragment=text) for text in ("a!$&'()*+,;=:@/b", "%2B", "%23", "%3f", "%25", "%C3%BC", "*")),
    *(put(query=text) for text in ("version=1&version=1", "version=1&version=2", "x=1&x=2", "mount=secret", "version=1&mount=x")),
    *(put(query=text) for text in ("", "&", "&&", "version=1&", "x=1", "version=1&x=1", "Version=1", "version", "=1", "v%65rsion=1")),
    *(put(query=text) for text in ("version=", "version=0", "version=-1", "version=+1", "version=1.0", "version=24001")),
    *(put(query=text) for text in ("version=007", "version=1=1", "version=%31", "version=9999999999", "version=1 ", "version=1#a", "a=?")),
    *(put(end=text) for text in ("\n", "\n/", "//", " ", "%20")),
]


class Spellings:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def name(self):
        while True:
            name = "".join(self.random.choices(PLAIN, k=self.random.randint(1, 8)))
            if ".." not in name and name != ".":
                return name

    def of_both(self):
        """One that both grammars have, and in which both see the same."""
        pick = self.random
        scheme = pick.choice(("openbao+kv2", "hashicorp+kv2"))
        if pick.random() < 0.2:
            scheme = "".join(pick.choice((sign.upper(), sign)) for sign in scheme)
        names = [self.name() for _ in range(pick.randint(1, 4))]
        return Parts(
            scheme,
            (*pick.choice(MOUNTS), *names),
            self.name() if pick.random() < 0.5 else None,
            f"version={pick.randint(1, 24000)}" if pick.random() < 0.3 else None,
            end=pick.choice(("", "", "", "/")),
        )

    def at_fault(self):
        """One with a single fault, or a single thing that one of the grammars has not."""
        parts = self.of_both()
        return self.random.choice(FAULTS)(parts, self.random)

    def mutated(self):
        text = list(str(self.of_both() if self.random.random() < 0.7 else self.at_fault()))
        for _ in range(self.random.randint(1, 3)):
            at = self.random.randrange(len(text) + 1)
            part = text[at : at + self.random.randint(1, 4)]
            sign = self.random.choice(SIGNS + PLAIN)
            match self.random.randrange(5):
                case 0:
                    text.insert(at, sign)
                case 1:
                    text[at : at + 1] = sign
                case 2:
                    del text[at : at + len(part)]
                case 3:
                    text[at:at] = part
                case 4:
                    text[at : at + 1] = "".join(f"%{byte:02x}" for byte in sign.encode())
        return "".join(text)
