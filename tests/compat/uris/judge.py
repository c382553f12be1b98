"""The origin's client for Python as a judge: what its parser makes of thousands of URIs, okmsd must make of them, too, or
differ for one of the reasons that reasons.py has.
"""

import collections
import os
import ssl
import sys
from dataclasses import dataclass
from urllib.parse import quote

import httpx
from reasons import REFUSED, REFUSED_OTHERWISE, RESPELT, TAKEN, respelt
from secrets_sdk.secret_uri import SecretURIError, parse
from spellings import Spellings

SECRETS = os.environ["KMS_RESTAPI_ENDPOINT"] + "/api/secrets"
SHOWN = 20


@dataclass(frozen=True)
class Verdict:
    """The canonical form, or the code of a refusal."""

    form: str | None = None
    code: str | None = None


def theirs(uri):
    try:
        return Verdict(form=parse(uri, "tenant", ["secret", "team", "ibmcloud"]).to_canonical())
    except SecretURIError as error:
        return Verdict(code=error.code)


class Okmsd:
    def __init__(self):
        tls = ssl.create_default_context(cafile=os.environ["KMS_RESTAPI_CA"])
        tls.load_cert_chain(os.environ["KMS_RESTAPI_CERT"], os.environ["KMS_RESTAPI_KEY"])
        self.client = httpx.Client(verify=tls, timeout=20)
        mount = self.client.post(os.environ["KMS_RESTAPI_ENDPOINT"] + "/v1/sys/mounts/team", json={"type": "kv-v2"})
        if mount.status_code not in (204, 400):
            raise SystemExit(f"judge: no mount: {mount.text}")

    def verdicts(self, uris):
        """What it makes of each: a secret that is not there, or a refusal. Nothing is there, so nothing is done."""
        for at in range(0, len(uris), 100):
            some = uris[at : at + 100]
            operations = [{"op": "delete", "uri": uri} for uri in some]
            answer = self.client.post(SECRETS + "/bulk", json={"operations": operations}).raise_for_status()
            for uri, result in zip(some, answer.json()["results"], strict=True):
                if result["code"] in ("SECRET_NOT_FOUND", "VERSION_PIN_NOT_ALLOWED"):
                    yield Verdict(form=result["uri"])
                else:
                    yield Verdict(code=result["code"])

    def code(self, uri):
        """The code of an answer to the same in a query."""
        # Of a blank httpx would make a plus, which is one here.
        return self.client.get(f"{SECRETS}/value?uri={quote(uri, safe='')}").json()["code"]

    def written(self, uri):
        """The URI in the answer to a write, by which the secret is then read and destroyed."""
        body = {"uri": uri, "value": {"k": 1}}
        form = self.client.post(SECRETS, json=body).raise_for_status().json()["uri"]
        self.client.get(SECRETS + "/value", params={"uri": form}).raise_for_status()
        whole = form.partition("#")[0]
        self.client.delete(SECRETS, params={"uri": whole, "destroy": "true"}).raise_for_status()
        return form


class Judgement:
    """What came of the URIs so far."""

    def __init__(self, okmsd):
        self.okmsd, self.used, self.faults = okmsd, collections.Counter(), []

    def of(self, uris, why=None):
        """Judges them; `why` says what is wrong with two verdicts that differ."""
        forms = []
        for uri, ours in zip(uris, self.okmsd.verdicts(uris), strict=True):
            if self.okmsd.code(uri) != (ours.code or "SECRET_NOT_FOUND"):
                self.faults.append((uri, ours, "another answer to a query"))
            if ours.form:
                forms.append(ours.form)
            if ours != (judged := theirs(uri)):
                reason = why(uri, ours, judged)
                if reason:
                    self.used[reason] += 1
                else:
                    self.faults.append((uri, ours, judged))
        return forms

    def writes(self, uris):
        for uri in uris:
            if (form := self.okmsd.written(uri)) != theirs(uri).form:
                self.faults.append((uri, form, "another URI in the answer to a write"))


def explained(uri, ours, judged):
    """The reason for which they differ."""
    if ours.form and judged.form:
        return RESPELT if ours.form == respelt(judged.form) else None
    if ours.form:
        reasons, code = TAKEN, judged.code
    else:
        reasons, code = REFUSED if judged.form else REFUSED_OTHERWISE, ours.code
    return next((reason for reason in reasons if reason.code == code and reason.holds(uri)), None)


def refused_alike(uri, ours, judged):
    """The same, but of two faults either may be told."""
    return "of two faults either is told" if ours.code and judged.code else explained(uri, ours, judged)


def never(*_):
    return None


def main():
    seeds, wanted = os.environ["SEED"].split(), int(os.environ["URIS"])
    judgement = Judgement(Okmsd())
    forms = set()
    for seed in seeds:
        spellings, each = Spellings(seed), wanted // len(seeds)
        alike = [str(spellings.of_both()) for _ in range(each // 4)]
        forms.update(judgement.of(alike, never))
        judgement.writes([uri for uri in alike if "?" not in uri][:25])
        forms.update(judgement.of([str(spellings.at_fault()) for _ in range(each // 2)], explained))
        forms.update(judgement.of([spellings.mutated() for _ in range(each // 4)], refused_alike))
    # What okmsd writes is what it reads, and what the client reads.
    forms = sorted(forms)
    again = judgement.of(forms, explained)
    judgement.faults += [(form, other, "not its own canonical form") for form, other in zip(forms, again) if form != other]
    if len(again) != len(forms):
        judgement.faults.append(("", len(forms), f"{len(again)} of the canonical forms are read again"))
    for reason in (*REFUSED, *REFUSED_OTHERWISE, *TAKEN):
        if reason not in judgement.used:
            judgement.faults.append(("", reason.code, f"not seen: {reason.why}"))
    for reason, times in judgement.used.most_common():
        print(f"{times:6} {getattr(reason, 'why', reason)}")
    for uri, ours, judged in judgement.faults[:SHOWN]:
        print(f"FAILED: {uri!r}: okmsd {ours}, the client {judged}")
    print(f"judge: seeds {' '.join(seeds)}: {len(forms)} canonical forms, {len(judgement.faults)} faults")
    sys.exit(bool(judgement.faults))


main()
