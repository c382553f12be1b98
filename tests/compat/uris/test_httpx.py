"""The document with httpx. Started by run.sh."""

import json
import os
import re
import ssl
import unittest
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx

SECRETS = os.environ["KMS_RESTAPI_ENDPOINT"] + "/api/secrets"
DOCUMENT = json.loads(Path(os.environ["DOCUMENT"]).read_text())

tls = ssl.create_default_context(cafile=os.environ["KMS_RESTAPI_CA"])
tls.load_cert_chain(os.environ["KMS_RESTAPI_CERT"], os.environ["KMS_RESTAPI_KEY"])
client = httpx.Client(verify=tls, timeout=20)
unittest.addModuleCleanup(client.close)


def masked(value, key=None, request_id=None):
    """What is never the same twice is told by its kind."""
    if isinstance(value, dict):
        return {name: masked(member, name, request_id) for name, member in value.items()}
    if isinstance(value, list):
        return [masked(member, None, request_id) for member in value]
    if key == "total" and isinstance(value, int):
        return "<count>"
    if not isinstance(value, str) or value == request_id:
        return value
    if key in ("next_cursor", "resource_ref"):
        return "<opaque>"
    if key == "message" and value:
        return "<prose>"
    if re.fullmatch("cert:[0-9a-f]+", value):
        return "<caller>"
    if re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value):
        return "<id>"
    if moment := re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z", value):
        seconds = datetime.strptime(moment[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
        if abs(datetime.now(timezone.utc) - seconds) < timedelta(minutes=10):
            return "<now, in parts>" if moment[2] else "<now>"
    return value


def ask(step):
    method, _, route = step["ask"].partition(" ")
    query, options = step.get("query"), {}
    if isinstance(query, str):
        route += "?" + query
    elif query:
        options["params"] = query
    if isinstance(step.get("body"), str):
        options |= {"content": step["body"], "headers": {"content-type": "application/json"}}
    elif "body" in step:
        options["json"] = step["body"]
    return client.request(method, SECRETS + route, **options)


class Document(unittest.TestCase):
    maxDiff = None

    def test_lines(self):
        for line, steps in DOCUMENT["lines"]:
            # As if nothing of it had ever been there.
            fresh = [{"op": "destroy", "uri": f"openbao+kv2://secret/{path}"} for path in DOCUMENT["secrets"]]
            client.post(SECRETS + "/bulk", json={"operations": fresh}).raise_for_status()
            for step in steps:
                with self.subTest(line, step=step):
                    self.check(step, ask(step))

    def test_events(self):
        """As they happen, and as the trail has them: one secret has one name, however it is called."""
        uris = "openbao+kv2://secret/app/api#token", "okms+kv2://ibmcloud/kv/app/%61pi#/token"
        with client.stream("GET", SECRETS + "/events") as events:
            self.assertEqual((events.status_code, events.headers["content-type"]), (200, "text/event-stream"))
            client.post(SECRETS, json={"uri": uris[0], "value": "one"}).raise_for_status()
            for uri in uris:
                client.get(SECRETS + "/value", params={"uri": uri}).raise_for_status()
            told, kind = [], None
            for line in events.iter_lines():
                name, _, text = line.partition(": ")
                if name == "event":
                    kind = text
                elif name == "data":
                    told.append((kind, json.loads(text)))
                if len(told) == 3:
                    break
        self.assertEqual([kind for kind, _ in told], ["secret.updated", "secret.read", "secret.read"])
        self.assertEqual(len({record["resource_ref"] for _, record in told}), 1)
        trail = client.get(SECRETS + "/audit", params={"limit": 3, "resource_ref": told[0][1]["resource_ref"]}).json()
        self.assertEqual([record for _, record in reversed(told)], trail["items"])

    def check(self, step, resp):
        request_id = resp.headers["x-request-id"]
        status, head = step.get("status", 200), DOCUMENT["head"] | step.get("head", {})
        self.assertEqual(resp.status_code, status, resp.text)
        self.assertEqual(masked({name: resp.headers.get(name) for name in head}), head)
        if "code" in step:
            error = {
                "error": DOCUMENT["reasons"][str(status)],
                "code": step["code"],
                "message": "<prose>",
                "request_id": request_id,
            }
            if "details" in step:
                error["details"] = step["details"]
            self.assertEqual(masked(resp.json(), None, request_id), error)
        elif "text" in step:
            self.assertEqual(resp.text, step["text"])
        elif "is" in step:
            self.assertEqual(masked(resp.json(), None, request_id), step["is"])
