"""What differs from OpenBao on purpose. Each rule names a row of docs/COMPATIBILITY.md, by its first cell, and knows the
differences that this row accounts for. compare.py fails where a row is not there.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

FIELD = re.compile(r'^(Field validation failed: )?error converting input for field "(\w+)": ')
JSON = "the body"
DECODE = re.compile(r"^(failed to (decode|parse) JSON input)")


@dataclass(frozen=True)
class Rule:
    row: str
    explains: Callable

    def __hash__(self):
        return hash(self.row)


def members(request):
    """Those of the body, which may be anything."""
    try:
        sent = json.loads(request.body)
    except ValueError:
        return {}
    return sent if isinstance(sent, dict) else {}


def says(answer, text):
    return any(text in error for error in answer.errors)


def subject(answer):
    """What an answer's one error is about: a field, by its name, or the body as a whole."""
    if len(answer.errors) != 1:
        return None
    if match := FIELD.match(answer.errors[0]):
        return match[2]
    return JSON if DECODE.match(answer.errors[0]) else None


def other_words_of_fields(request, ours, theirs, what):
    if what != {"text"} or {subject(ours), subject(theirs)} & {None, JSON}:
        return False
    # Of several that are ill-typed OpenBao names any.
    sent = {*members(request), *(part.partition("=")[0] for part in request.query.split("&"))}
    return subject(ours) == subject(theirs) or {subject(ours), subject(theirs)} <= sent


def other_words_of_bodies(request, ours, theirs, what):
    return what == {"text"} and subject(ours) == subject(theirs) == JSON


def through_a_float(request, ours, theirs, what):
    return what == {"body"} and ours.status == 200 and ours.body.count(b"12345678901234567890") > 0


def no_data(request, ours, theirs, what):
    refused = "/data/" in request.path and ours.errors == ["no data provided"]
    return refused and members(request).get("data", {}) in (None, [], "")


def negative(request, ours, theirs, what):
    number = members(request).get("max_versions")
    return isinstance(number, int) and number < 0 and says(ours, "from 0 to 24000")


def cleaned(request, ours, theirs, what):
    return theirs.status == 307 and "//" in request.path


def relative(request, ours, theirs, what):
    dots = re.search(r"/\.\.?(/|$)", request.path)
    return dots and ours.status in (400, 404, 405) and theirs.status in (307, 400)


def unprintable(request, ours, theirs, what):
    return (
        ours.status in (400, 405) and theirs.status == 400 and theirs.body == b"" and re.search("%0[0A]", request.path)
    )


def no_help(request, ours, theirs, what):
    return "help=1" in request.query and (theirs.status == 200 and (request.method == "HEAD" or "help" in theirs.json))


def missing_for_patch(request, ours, theirs, what):
    return (
        request.method == "PATCH"
        and what == {"body"}
        and ours.status == 404
        and theirs.json is None
        and ours.errors == []
    )


def vaults_words(request, ours, theirs, what):
    def neutral(answer):
        return {**answer.shown, "warnings": [text.split(" If using the ")[0] for text in answer.shown["warnings"]]}

    if what != {"body"} or not all(
        isinstance(answer.json, dict) and answer.json.get("warnings") for answer in (ours, theirs)
    ):
        return False
    return neutral(ours) == neutral(theirs)


def all_that_is_allowed(request, ours, theirs, what):
    return request.path == "sys/capabilities-self" and ours.status == theirs.status == 200 and what == {"body"}


def text_after_json(request, ours, theirs, what):
    return request.body in (b"{}{}", b"{} x") and says(ours, "text after its JSON")


def in_order(answer):
    """A list's data with its names sorted."""
    data = answer.shown.get("data") or {}
    return {**data, "keys": sorted(data.get("keys", []))}


def scan(request, ours, theirs, what):
    if (
        not (request.method == "SCAN" or "scan=" in request.query)
        or theirs.status != 200
        or ours.status not in (200, 404)
    ):
        return False
    if "limit=" in request.query or "after=" in request.query:
        return True
    return in_order(ours) == in_order(theirs)


HINT = b"Invalid path for a versioned K/V secrets engine"


def slash_at_the_end(request, ours, theirs, what):
    return re.search(r"/(data|subkeys)/(.*(/|%2F))?$", request.path) and ours.status == 404 and HINT in ours.body


def methods(request, ours, theirs, what):
    return (ours.status, theirs.status) == (405, 404) and HINT in theirs.body


def nothing_named(request, ours, theirs, what):
    is_bare = re.fullmatch(r"\w+/(delete|destroy|undelete)/", request.path)
    return is_bare and request.method == "GET" and (ours.status, theirs.status) == (404, 405) and HINT in ours.body


def folders_in_detail(request, ours, theirs, what):
    if "/detailed-metadata" not in request.path or what != {"body"} or theirs.status != 200:
        return False
    details = theirs.shown["data"].get("key_info", {})
    bare = {name: {} if name.endswith("/") else members for name, members in details.items()}
    return ours.shown == {**theirs.shown, "data": {**theirs.shown["data"], "key_info": bare}}


def which_fault(request, ours, theirs, what):
    undecoded = ours.status in (404, 405) and (subject(theirs) == JSON or says(theirs, "cannot write to a path ending in"))
    unlimited = subject(theirs) == "limit" and ours.errors == []
    boolean = (
        ours.status == 405 and theirs.status == 400 and theirs.errors == [] and re.search("list=|scan=", request.query)
    )
    nowhere = "X-Vault-Namespace" in request.headers and 404 in (ours.status, theirs.status) and ours.status >= 400
    return undecoded or unlimited or boolean or nowhere


def beyond_a_double(request, ours, theirs, what):
    return b"1e999" in request.body and theirs.status == 400 and (ours.status in (400, 204))


def the_root(request, ours, theirs, what):
    if not re.search(r"/metadata/?$", request.path):
        return False
    listed = request.method == "GET" and ours.status == 200 and theirs.status == 404
    hinted = ours.status in (400, 404) and theirs.status == 404 and b"Non-listing operations on the root" in theirs.body
    return listed or hinted or (request.method == "DELETE" and ours.status == 404 and HINT in ours.body)


def method_before_type(request, ours, theirs, what):
    routed = ours.status == 405 or (ours.status == 404 and HINT in ours.body)
    return request.method == "PATCH" and routed and theirs.status in (400, 415)


def warned_of_parameters(request, ours, theirs, what):
    """OpenBao warns of more of them, and what it warns of is no longer nothing."""
    if request.method in ("PUT", "POST", "PATCH") or not isinstance(theirs.json, dict):
        return False
    if "unrecognized parameters" not in str(theirs.json.get("warnings")):
        return False
    same = ours.status == theirs.status and {**ours.shown, "warnings": None} == {**theirs.shown, "warnings": None}
    return same or (theirs.shown["data"] == {} and ours.status == 404)


def named_twice(request, ours, theirs, what):
    return says(ours, "names a member twice")


def half_a_pair(request, ours, theirs, what):
    return says(ours, "half of a surrogate pair")


def numbers_in_a_patch(request, ours, theirs, what):
    return request.method == "PATCH" and theirs.status == 500 and says(theirs, ".custom_metadata.")


def a_comma(request, ours, theirs, what):
    return members(request).get("versions") == "," and (ours.status, theirs.status) == (400, 204)


def leases(request, ours, theirs, what):
    if not re.fullmatch(r"sys/mounts/\w+/tune", request.path):
        return False
    if request.method == "POST":
        return (ours.status, theirs.status) == (200, 204) and "no leases here" in str(ours.json["warnings"])
    return what == {"body"} and 2764800 in theirs.shown["data"].values()


def new_mounts(request, ours, theirs, what):
    return re.match(r"sys/mounts/\w+", request.path) and request.method == "POST" and what == {"text"}


SAME_MEANING = (
    ("paths must be supplied", "paths is required"),
    ("o version number provided", 'input for field "versions"'),
    ("custom_metadata validation failed: ", "error decoding custom_metadata["),
    ("failed to decode JSON input", "cannot write to a path ending in '/'"),
)


def same_meaning(request, ours, theirs, what):
    return what == {"text"} and any(says(theirs, a) and says(ours, b) for a, b in SAME_MEANING)


def form_of_bytes(request, ours, theirs, what):
    is_form = request.headers.get("Content-Type") == "application/x-www-form-urlencoded"
    return is_form and ours.status == 400 and says(ours, "the body is not UTF-8 text")


def options(request, ours, theirs, what):
    if what != {"body"} or not request.path.startswith("sys/"):
        return False
    told, more = (answer.shown.get("data") or {} for answer in (ours, theirs))
    if not told.get("options", {}).items() < more.get("options", {}).items():
        return False
    return {**told, "options": None} == {**more, "options": None}


ALLOWED = [
    Rule("order and pages of SCAN", scan),
    Rule("texts of a field that cannot be read", other_words_of_fields),
    Rule("texts of a body that is no JSON object", other_words_of_bodies),
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
    Rule("`data/K/`, `subkeys/K/`", slash_at_the_end),
    Rule("a method that a path does not know", methods),
    Rule("a GET of `delete/`, `destroy/` or `undelete/` alone", nothing_named),
    Rule("a folder in a detailed list", folders_in_detail),
    Rule("which of several faults is told", which_fault),
    Rule("a number beyond a double", beyond_a_double),
    Rule("`metadata/` without a list", the_root),
    Rule("several faults of a patch", method_before_type),
    Rule("parameters that mean nothing", warned_of_parameters),
    Rule("a name twice in an object of a value", named_twice),
    Rule("half of a surrogate pair in a value", half_a_pair),
    Rule("numbers in a patch of custom metadata", numbers_in_a_patch),
    Rule("a comma as a list of versions", a_comma),
    Rule("leases of a mount", leases),
    Rule("which fault of a new mount is told", new_mounts),
    Rule("options of a mount", options),
    Rule("a form that is not UTF-8 text", form_of_bytes),
    Rule("the words of a few refusals", same_meaning),
]
