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


def masked(value, key=None):
    """What is never the same twice is told by its kind."""
    if isinstance(value, dict):
        return {name: masked(member, name) for name, member in value.items()}
    if isinstance(value, list):
        return [masked(member) for member in value]
    if not isinstance(value, str):
        return value
    if key in ("next_cursor", "x-request-id"):
        return "<opaque>"
    if key == "message" and value:
        return "<prose>"
    if re.fullmatch("cert:[0-9a-f]+", value):
        return "<caller>"
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

    def check(self, step, resp):
        status, head = step.get("status", 200), DOCUMENT["head"] | step.get("head", {})
        self.assertEqual(resp.status_code, status, resp.text)
        self.assertEqual(masked({name: resp.headers.get(name) for name in head}), head)
        if "code" in step:
            error = {
                "error": DOCUMENT["reasons"][str(status)],
                "code": step["code"],
                "message": "<prose>",
                "request_id": resp.headers["x-request-id"],
            }
            if "details" in step:
                error["details"] = step["details"]
            self.assertEqual(masked(resp.json()), error)
        elif "text" in step:
            self.assertEqual(resp.text, step["text"])
        elif "is" in step:
            self.assertEqual(masked(resp.json()), step["is"])
