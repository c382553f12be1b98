"""What differs from OpenBao on purpose. Each rule names a row of docs/COMPATIBILITY.md, by its first cell, and knows the
differences that this row accounts for. compare.py fails where a row is not there, and where a rule explains nothing.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

FIELD = re.compile(r'^(Field validation failed: )?error converting input for field "(\w+)": ')
DECODE = re.compile(r"^(failed to (decode|parse) JSON input)")


@dataclass(frozen=True)
class Rule:
    row: str
    explains: Callable

    def __hash__(self):
        return hash(self.row)


def body(request):
    try:
        return json.loads(request.body)
    except ValueError:
        return None


def member(request, name):
    sent = body(request)
    return sent.get(name) if isinstance(sent, dict) else None


def subject(answer):
    """What an answer's one error is about: a field by its name, or the body's JSON."""
    if len(answer.errors) != 1:
        return None
    if match := FIELD.match(answer.errors[0]):
        return match[2]
    return "JSON" if DECODE.match(answer.errors[0]) else None


def other_words(request, ours, theirs, what):
    if what != {"text"} or None in (subject(ours), subject(theirs)):
        return False
    # Of several fields that are ill-typed OpenBao names any.
    named = {subject(ours), subject(theirs)}
    return len(named) == 1 or ("JSON" not in named and named <= set(body(request) or {}))


def through_a_float(request, ours, theirs, what):
    return what == {"body"} and ours.status == 200 and ours.body.count(b"12345678901234567890") > 0


def no_data(request, ours, theirs, what):
    sent = body(request)
    return (
        "/data/" in request.path
        and isinstance(sent, dict)
        and "data" in sent
        and sent["data"] in (None, [], "")
        and ours.errors == ["no data provided"]
    )


def negative(request, ours, theirs, what):
    return (
        isinstance(member(request, "max_versions"), int)
        and member(request, "max_versions") < 0
        and ours.status == 400
        and "from 0 to 24000" in ours.errors[0]
    )


def cleaned(request, ours, theirs, what):
    return theirs.status == 307 and "//" in request.path


def relative(request, ours, theirs, what):
    return theirs.status == 307 and ours.status == 400 and re.search(r"/\.\.?(/|$)", request.path)


def unprintable(request, ours, theirs, what):
    return ours.status == theirs.status == 400 and theirs.json is None and ours.errors != []


def no_help(request, ours, theirs, what):
    return "help=1" in request.query and (theirs.status == 200 and (request.method == "HEAD" or "help" in theirs.json))


def missing_for_patch(request, ours, theirs, what):
    return request.method == "PATCH" and what == {"body"} and ours.status == 404 and theirs.json is None and ours.errors == []


def vaults_words(request, ours, theirs, what):
    def neutral(answer):
        return {**answer.shown, "warnings": [text.split(" If using the ")[0] for text in answer.shown["warnings"]]}

    if what != {"body"} or not all(isinstance(answer.json, dict) and answer.json.get("warnings") for answer in (ours, theirs)):
        return False
    return neutral(ours) == neutral(theirs)


def all_that_is_allowed(request, ours, theirs, what):
    return request.path == "sys/capabilities-self" and ours.status == theirs.status == 200 and what == {"body"}


def text_after_json(request, ours, theirs, what):
    return request.body in (b"{}{}", b"{} x") and ours.status == 400 and "text after its JSON" in ours.errors[0]


def scan_has_pages(request, ours, theirs, what):
    scans = request.method == "SCAN" or "scan=" in request.query
    return scans and ("limit=" in request.query or "after=" in request.query) and theirs.status == 200 and ours.status in (200, 404)


ALLOWED = [
    Rule("pages of SCAN", scan_has_pages),
    Rule("what is said of a field or a body that cannot be read", other_words),
    Rule("numbers in values", through_a_float),
    Rule("`data: null` in a write", no_data),
    Rule("a negative number of versions", negative),
    Rule("`//` in a path", cleaned),
    Rule("`.` and `..` in a path", relative),
    Rule("characters that cannot be printed", unprintable),
    Rule("a `help` query", no_help),
    Rule("a PATCH of what is not there", missing_for_patch),
    Rule("the hint for paths of version 1", vaults_words),
    Rule("what one may do", all_that_is_allowed),
    Rule("text after a body's JSON", text_after_json),
]
