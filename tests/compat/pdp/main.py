"""Whether okmsd does what Cerbos permits, and nothing else, in every dialect."""

import json
import pathlib
import re
import sys
from urllib.parse import quote

from cerbos import Cerbos
from endpoints import endpoints, operations
from server import Server, expect

program, work = sys.argv[1], pathlib.Path(sys.argv[2])
BASE = "openbao+kv2://secret/"
# No value is ever told to Cerbos.
SENTINEL = "a-value-that-nobody-is-told"
PURPOSES = ["read", "write", "delete", "destroy_versions", "rotate", "undelete", "owner_update", "read_metadata"]


def check(what, holds, told):
    if not holds:
        sys.exit(f"FAILED: {what}: {told}")
    print(f"ok       {what}")


def started(cerbos, **settings):
    return Server(work / f"okmsd-{cerbos.url.partition(':')[0]}", OKMSD_PDP__URL=cerbos.url, **settings)


def value(okmsd, uri):
    return okmsd.call("GET", f"/api/secrets/value?uri={quote(uri)}")


def written(okmsd, path, value=None):
    body = {"uri": BASE + path, "value": value or {"token": SENTINEL}}
    expect(f"{path} is written", okmsd.call("POST", "/api/secrets", body), 200)


def denied(what, got, purpose):
    """In the words of secrets by URI: the purpose, and by what the decision is known."""
    expect(what, got, 403, "SECRET_AUTHZ_FAILED")
    details = got[1]["details"]
    if details.keys() != {"purpose", "decision_id"} or details["purpose"] != purpose or not details["decision_id"]:
        sys.exit(f"FAILED: {what}: other details: {got}")


def every_purpose(okmsd):
    """What each endpoint is for is permitted at one place, and not at another, where nothing else is missing."""
    for at, endpoint in enumerate(endpoints(f"{BASE}yes/api")):
        written(okmsd, "yes/api")
        expect(f"{endpoint.what} is permitted", okmsd.call(endpoint.method, endpoint.route, endpoint.body), endpoint.status)
        for _, purpose in endpoint.needs:
            if purpose:
                other = endpoints(f"{BASE}no/{purpose}/api")[at]
                if purpose != "write":
                    written(okmsd, f"no/{purpose}/api")
                denied(f"{other.what} is not, for {purpose}", okmsd.call(other.method, other.route, other.body), purpose)
    for at, (operation, _, purpose) in enumerate(operations(f"{BASE}yes/bulk")):
        written(okmsd, "yes/bulk")
        other = operations(f"{BASE}no/{purpose}/api")[at][0]
        both = okmsd.call("POST", "/api/secrets/bulk", {"operations": [operation, other]})[1]["results"]
        told = [both[0]["status"], both[1]["status"], both[1].get("code")]
        check(f"{operation['op']} among others for {purpose}", told == [200, 403, "SECRET_AUTHZ_FAILED"], both)
    missing = value(okmsd, f"{BASE}no/read/nothing")
    denied("what is not there is denied all the same", missing, "read")


def every_spelling(okmsd):
    written(okmsd, "part/api", {"user": "shop", "password": SENTINEL})
    for uri in [
        f"{BASE}part/api#password",
        f"{BASE}part/api#/password",
        f"{BASE}part/api#%70assword",
        "HashiCorp+KV2://secret/part/api/#password",
        "okms+kv2://ibmcloud/kv/part/%61pi#password",
        f"{BASE}part/api#password?version=1",
    ]:
        denied(f"one member is denied as {uri}", value(okmsd, uri), "read")
    for uri in f"{BASE}part/api#user", f"{BASE}part/api", f"{BASE}part/api#password2":
        expect(f"and not {uri}", value(okmsd, uri), 404 if uri.endswith("2") else 200)


def every_dialect(okmsd):
    native, kv = f"/api/{okmsd.env['OKMS_ID']}/v2/secret", f"/api/{okmsd.env['OKMS_ID']}/v1/secret"
    for method, path, body, purpose in [
        ("GET", native + "/no%2F{}%2Fapi?includeData=true", None, "read"),
        ("PUT", native + "/no%2F{}%2Fapi", {"version": {"data": {"token": SENTINEL}}}, "write"),
        ("DELETE", native + "/no%2F{}%2Fapi", None, "destroy_versions"),
        ("GET", native + "/no%2F{}%2Fapi/version", None, "read_metadata"),
        ("GET", kv + "/data/no/{}/api", None, "read"),
        ("POST", kv + "/data/no/{}/api", {"data": {"token": SENTINEL}}, "write"),
        ("DELETE", kv + "/data/no/{}/api", None, "delete"),
        ("POST", kv + "/undelete/no/{}/api", {"versions": [1]}, "undelete"),
        ("POST", kv + "/destroy/no/{}/api", {"versions": [1]}, "destroy_versions"),
        ("GET", kv + "/metadata/no/{}/api", None, "read_metadata"),
        ("GET", native + "?prefix=no/{}/", None, "read_metadata"),
        ("GET", kv + "/metadata/no/{}/?list=true", None, "read_metadata"),
        ("GET", "/v1/secrets?prefix=no/{}/", None, "read_metadata"),
        ("GET", "/v1/secrets/no/{}/api", None, "read"),
        ("PUT", "/v1/secrets/no/{}/api", {"data": {"token": SENTINEL}}, "write"),
        ("DELETE", "/v1/secrets/no/{}/api", None, "delete"),
        ("POST", "/v1/secrets/no/{}/api/rotate", {"new_value": {"token": SENTINEL}}, "rotate"),
        ("GET", "/v1/secrets/metadata/no/{}/api", None, "read_metadata"),
    ]:
        if purpose != "write":
            written(okmsd, f"no/{purpose}/api")
        got = okmsd.call(method, path.format(purpose), body)
        expect(f"{method} {path.format(purpose).removeprefix('/api/' + okmsd.env['OKMS_ID'])} is denied", got, 403)


def owners(okmsd, cerbos):
    """Cerbos goes by what the store says of a secret, and by who asks."""
    written(okmsd, "own/api")
    delete = "DELETE", f"/api/secrets?uri={quote(BASE + 'own/api')}"
    expect("who owns it deletes it", okmsd.call(*delete), 200)
    written(okmsd, "own/api")
    owned = okmsd.call("POST", "/api/secrets/metadata/owner", {"uri": f"{BASE}own/api", "owner": "team:shop"})
    expect("it gets another owner", owned, 200)
    got = okmsd.call(*delete)
    denied("who does not, does not", got, "delete")
    trail = [json.loads(line) for line in (okmsd.folder / "audit.log").read_text().splitlines()]
    record = next(record for record in trail if record.get("request_id") == got[1]["request_id"])
    told = record["effect"], record.get("purpose"), record.get("decision_id")
    check("the audit trail has the decision", told == ("deny", "delete", got[1]["details"]["decision_id"]), record)
    asked = cerbos.last(lambda asked: asked["resource"]["id"] == f"{BASE}own/api" and asked["actions"] == ["delete"])
    made = owned[1]
    expected = {
        "principal": {
            "id": made["created_by"],
            "roles": ["certificate"],
            "attr": {"cnf": okmsd.thumbprint(), "common_name": "dev"},
        },
        "resource": {
            "kind": "secret",
            "id": f"{BASE}own/api",
            "attr": {"tenant_id": okmsd.env["OKMS_ID"], "owner": "team:shop",
                     "created_by": made["created_by"], "created_at": made["created_at"]},
        },
        "actions": ["delete"],
    }
    check("what Cerbos was told, to the member", asked == expected, asked)


def many(okmsd):
    """More than the fifty questions that Cerbos takes at once where nobody has told it otherwise."""
    operations = [{"op": "set", "uri": f"{BASE}many/{number}", "value": {}} for number in range(100)]
    told = okmsd.call("POST", "/api/secrets/bulk", {"operations": operations})[1]
    check("a hundred operations", told["succeeded"] == 100, told)
    path = f"/api/{okmsd.env['OKMS_ID']}/v2/events?since=first&prefix=many/&limit=1000"
    page = okmsd.call("GET", path)[1]
    check("a hundred events on one page", len(page["events"]) == 100, page)
    got = okmsd.call("POST", "/v1/secrets/batch", {"paths": [f"many/{number}" for number in range(100)]})[1]
    check("a hundred values at once", len(got["secrets"]) == 100, got)


def nobody_answers(okmsd, cerbos):
    """Fails closed, and goes on by itself."""
    written(okmsd, "yes/api")
    before = value(okmsd, f"{BASE}yes/api")
    cerbos.stop()
    for what, got in [
        ("a read", value(okmsd, f"{BASE}yes/api")),
        ("a write", okmsd.call("POST", "/api/secrets", {"uri": f"{BASE}yes/api", "value": {"token": "other"}})),
        ("a list", okmsd.call("GET", f"/api/secrets/metadata?prefix={quote(BASE)}yes/")),
    ]:
        expect(f"{what}, where nobody answers", got, 503, "PDP_UNAVAILABLE")
    for dialect, path in [
        ("natively", f"/api/{okmsd.env['OKMS_ID']}/v2/secret/yes%2Fapi?includeData=true"),
        ("in KV2", "/v1/secret/data/yes/api"),
        ("by its path", "/v1/secrets/yes/api"),
    ]:
        expect(f"a read {dialect}, where nobody answers", okmsd.call("GET", path), 503)
    cerbos.start()
    check("a read, where somebody does again; nothing has changed", value(okmsd, f"{BASE}yes/api") == before, before)


def nobody_is_told_values(okmsd, cerbos):
    told = cerbos.decided.read_text() + cerbos.log.read_text()
    check("no value has left", SENTINEL not in told and "shop" not in re.sub("team:shop", "", told), "a value in Cerbos' logs")


ca = str(work / "ca.pem")
with Cerbos(program, work, work / "cerbos.pem", ca) as cerbos, started(cerbos, OKMSD_PDP__CA=ca) as okmsd:
    every_purpose(okmsd)
    every_spelling(okmsd)
    every_dialect(okmsd)
    owners(okmsd, cerbos)
    many(okmsd)
    nobody_answers(okmsd, cerbos)
    nobody_is_told_values(okmsd, cerbos)
with Cerbos(program, work) as cerbos, started(cerbos) as okmsd:
    written(okmsd, "no/read/api")
    denied("without TLS on the same machine", value(okmsd, f"{BASE}no/read/api"), "read")
