"""The page with httpx. Started by run.sh."""

import json
import os
import re
import ssl
import time
import unittest
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import httpx

V1 = os.environ["KMS_RESTAPI_ENDPOINT"] + "/v1"
SECRETS = f"{V1}/secrets"
CREDENTIALS = f"{SECRETS}/environments/production/salesforce/api-credentials"
PASSWORD = f"{SECRETS}/app/db/password"
BEARER, PARTNER, TENANT = (
    {"Authorization": f"Bearer {os.environ[name]}"} for name in ("TOKEN", "PARTNER_ADMIN_TOKEN", "TENANT_TOKEN")
)
EXPECTED = json.loads(Path(os.environ["EXPECTED"]).read_text())
SEEN = set()


def connection(certificate, key):
    context = ssl.create_default_context(cafile=os.environ["KMS_RESTAPI_CA"])
    context.load_cert_chain(os.environ[certificate], os.environ[key])
    return context


tls = connection("KMS_RESTAPI_CERT", "KMS_RESTAPI_KEY")
tenant = partial(httpx.request, verify=connection("TENANT_CERT", "TENANT_KEY"), headers=TENANT)
get, put, post, patch, delete = (
    partial(getattr(httpx, name), verify=tls) for name in ("get", "put", "post", "patch", "delete")
)


def masked(value, key=None):
    """What is never the same twice is told by its kind."""
    if isinstance(value, dict):
        return {name: masked(member, name) for name, member in value.items()}
    if isinstance(value, list):
        return [masked(member) for member in value]
    if key == "access_count_30d" and isinstance(value, int):
        return "<count>"
    if not isinstance(value, str):
        return value
    if key == "next_rotation" and value.endswith("T00:00:00Z"):
        return "<midnight>"
    if key in ("cursor", "request_id") or value.startswith("cert:"):
        return "<opaque>"
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value):
        moment = datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        return f"<now +{round((moment - datetime.now(timezone.utc)) / timedelta(hours=1))} h>"
    return "<prose>" if " " in value else value


def tearDownModule():
    missed = EXPECTED["answers"].keys() - SEEN
    if missed:
        raise AssertionError(f"nothing was answered with {sorted(missed)}")


class Page(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        for path in EXPECTED["paths"]:
            delete(f"{SECRETS}/{path}", headers=BEARER, params={"permanent": "true"})
        delete(f"{V1}/t/tnt_acme_dev/secrets/app/db/password", headers=BEARER, params={"permanent": "true"})

    def same(self, resp, name, **instead):
        """The whole answer is the one of this name."""
        SEEN.add(name)
        self.assertEqual([resp.status_code, masked(resp.json() | instead)], EXPECTED["answers"][name])
        if resp.status_code < 400:
            resp.raise_for_status()
        else:
            self.assertRaises(httpx.HTTPStatusError, resp.raise_for_status)

    def three(self):
        """Three versions of the page's second secret."""
        first = {
            "data": {"password": "one"},
            "metadata": {"description": "PostgreSQL", "tags": ["postgres", "production"]},
            "options": {"rotation_policy_id": "rot_quarterly"},
        }
        for body in first, {"data": {"password": "two"}}, {"data": {"password": "three"}}:
            put(PASSWORD, headers=BEARER, json=body).raise_for_status()

    def test_reading_and_writing(self):
        resp = put(
            CREDENTIALS,
            headers=BEARER,
            json={
                "data": {"client_id": "3MVG9...", "client_secret": "REDACTED"},
                "secret_type": "json",
                "metadata": {"description": "Salesforce", "tags": ["salesforce", "oauth", "production"]},
                "options": {"max_versions": 10, "expires_in": "90d", "rotation_policy_id": "rot_quarterly"},
            },
        )
        self.same(resp, "created")
        for n in 2, 3, 4:
            resp = put(
                CREDENTIALS,
                headers=BEARER,
                json={
                    "data": {"client_id": "3MVG9...", "client_secret": f"REDACTED-{n}"},
                    "secret_type": "json",
                    "metadata": {"tags": ["salesforce", "production"]},
                    "options": {"max_versions": 10},
                },
            )
        self.same(resp, "updated")
        self.same(get(CREDENTIALS, headers=BEARER), "read")
        self.same(get(CREDENTIALS, headers=BEARER, params={"version": 2}), "version read")

        for kind, data in EXPECTED["types"].items():
            resp = put(f"{SECRETS}/test/type-{kind}", headers=BEARER, json={"data": data, "secret_type": kind})
            self.assertEqual((resp.status_code, resp.json()["secret_type"]), (201, kind))
        resp = put(
            f"{SECRETS}/test/every-field",
            headers=BEARER,
            json={
                "data": {"key": "k"},
                "secret_type": "api_key",
                "metadata": {"description": "everything", "tags": ["one"], "owner": "team:shop"},
                "options": {
                    "max_versions": 100,
                    "expires_at": (datetime.now(timezone.utc) + timedelta(hours=24)).isoformat(),
                    "rotation_policy_id": "rot_quarterly",
                    "secret_policy_id": "sp_generated",
                },
            },
        )
        resp.raise_for_status()
        self.same(get(f"{SECRETS}/metadata/test/every-field", headers=BEARER), "every field")
        self.same(put(PASSWORD, headers=BEARER, json={}), "no data")
        resp = put(PASSWORD, headers=BEARER, json={"data": {}, "options": {"max_versions": 101}})
        self.same(resp, "too many versions")

    def test_what_is_said_of_a_secret(self):
        self.three()
        kept = get(PASSWORD, headers=BEARER)
        resp = patch(
            PASSWORD,
            headers=BEARER,
            json={"metadata": {"tags": ["postgres", "production", "critical"]}, "options": {"max_versions": 25}},
        )
        self.same(resp, "patched")
        # What somebody has kept is good still.
        resp = get(PASSWORD, headers=BEARER | {"If-None-Match": kept.headers["etag"]})
        self.assertEqual((resp.status_code, resp.content), (304, b""))

    def test_lists_and_what_ends(self):
        def write(path, **body):
            put(f"{SECRETS}/{path}", headers=BEARER, json={"data": {"n": 1}} | body).raise_for_status()

        write("test/ended", options={"expires_in": "1s"})
        put(
            CREDENTIALS,
            headers=BEARER,
            json={
                "data": {"client_id": "3MVG9..."},
                "secret_type": "json",
                "metadata": {"tags": ["salesforce", "oauth", "production"]},
                "options": {"expires_in": "90d"},
            },
        ).raise_for_status()
        write("test/oauth-token", options={"expires_in": "9d"})
        write("test/type-certificate", data={"cert_pem": "..."}, secret_type="certificate")
        self.three()
        time.sleep(2)

        resp = get(SECRETS, headers=BEARER, params={"prefix": "environments/production/", "limit": 50})
        listing = resp.json()
        self.same(resp, "listed", secrets=listing["secrets"][:1])
        self.assertEqual(len(listing["secrets"]), 50)
        found = []
        for s in listing["secrets"]:
            self.assertEqual(s.keys(), EXPECTED["answers"]["listed"][1]["secrets"][0].keys())
            found.append((s["path"], s["version"]))
        while listing["has_more"]:
            resp = get(
                SECRETS,
                headers=BEARER,
                params={"prefix": "environments/production/", "cursor": listing["cursor"]},
            )
            listing = resp.json()
            found += [(s["path"], s["version"]) for s in listing["secrets"]]
        self.same(resp, "last page", secrets=[])
        self.assertEqual(found, sorted(set(found)))
        self.assertEqual(len(found), 127)

        for query, paths in EXPECTED["filters"]:
            with self.subTest(query):
                listing = get(SECRETS, headers=BEARER, params=query).json()
                self.assertEqual([s["path"] for s in listing["secrets"]], paths)
        get(PASSWORD, headers=BEARER).raise_for_status()
        resp = get(SECRETS, headers=BEARER, params={"prefix": "app/", "include_metadata": True})
        self.same(resp, "listed with metadata")

        self.same(get(f"{SECRETS}/expiring", headers=BEARER, params={"days": 30}), "expiring")
        self.same(get(f"{SECRETS}/test/ended", headers=BEARER), "secret_expired")

    def test_versions_and_metadata(self):
        self.three()
        self.same(get(f"{PASSWORD}/versions", headers=BEARER), "versions")
        before = get(f"{SECRETS}/metadata/app/db/password", headers=BEARER).json()["access_count_30d"]
        get(PASSWORD, headers=BEARER).raise_for_status()
        get(PASSWORD, headers=BEARER, params={"version": 1}).raise_for_status()
        resp = get(f"{SECRETS}/metadata/app/db/password", headers=BEARER)
        self.same(resp, "metadata")
        self.assertEqual(resp.json()["access_count_30d"], before + 2)

    def test_deleting_and_restoring(self):
        self.three()
        get(PASSWORD, headers=BEARER).raise_for_status()
        self.same(delete(PASSWORD, headers=BEARER), "deleted")
        self.same(get(PASSWORD, headers=BEARER), "gone for now")
        self.same(put(PASSWORD, headers=BEARER, json={"data": {"password": "four"}}), "secret_exists")
        self.same(post(f"{PASSWORD}/restore", headers=BEARER), "restored")
        self.same(delete(PASSWORD, headers=BEARER, params={"version": 2}), "version deleted")
        self.same(get(PASSWORD, headers=BEARER, params={"version": 2}), "version_not_found")
        self.assertEqual(get(PASSWORD, headers=BEARER).json()["data"], {"password": "three"})
        self.same(delete(PASSWORD, headers=BEARER, params={"permanent": "true"}), "deleted for good")
        self.same(post(f"{PASSWORD}/restore", headers=BEARER), "secret_not_found")

    def test_rotation(self):
        self.three()
        resp = post(
            f"{PASSWORD}/rotate",
            headers=BEARER,
            json={
                "reason": "a laptop was lost",
                "new_value": {"password": "new-strong-password"},
                "grace_period": "1h",
            },
        )
        self.same(resp, "rotated")
        self.assertEqual(get(PASSWORD, headers=BEARER).json()["data"], {"password": "new-strong-password"})
        self.assertEqual(get(PASSWORD, headers=BEARER, params={"version": 3}).json()["data"], {"password": "three"})
        options = {"rotation_policy_id": "rot_generated", "secret_policy_id": "sp_generated"}
        generated = f"{SECRETS}/test/generated"
        put(generated, headers=BEARER, json={"data": {"password": "x"}, "options": options}).raise_for_status()
        self.same(post(f"{generated}/rotate", headers=BEARER, json={"reason": "a laptop was lost"}), "generated")
        self.assertRegex(get(generated, headers=BEARER).json()["data"]["password"], "^[0-9a-f]{16}$")

    def test_partners_and_their_tenants(self):
        shared = f"{V1}/partner/secrets/shared/trust-anchor"
        body = {"data": {"cert_pem": "..."}, "secret_type": "certificate"}
        self.same(put(shared, headers=PARTNER, json=body), "shared")
        self.same(tenant("GET", shared), "shared, as a tenant reads it")
        self.same(tenant("PUT", shared, json=body), "access_denied")
        tenant("PUT", PASSWORD, json={"data": {"password": "acme"}}).raise_for_status()
        self.three()
        self.same(get(f"{V1}/t/tnt_acme_dev/secrets/app/db/password", headers=PARTNER), "the tenant's")
        self.same(get(PASSWORD, headers=PARTNER | {"X-Tenant-ID": "tnt_acme_dev"}), "the tenant's")
        self.same(get(f"{V1}/t/tnt_of_nobody/secrets/app/db/password", headers=PARTNER), "access_denied")

    def test_errors(self):
        self.same(get(PASSWORD, headers=BEARER), "secret_not_found")
        self.same(put(f"{SECRETS}/app//password", headers=BEARER, json={"data": {"password": "x"}}), "invalid_path")
        self.three()
        self.same(get(PASSWORD, headers=BEARER, params={"version": 9}), "version_not_found")
        # Somebody else has written in between: read again, and once more.
        four = {"data": {"password": "four"}}
        self.same(put(PASSWORD, headers=BEARER | {"If-Match": '"2"'}, json=four), "version_conflict")
        etag = get(PASSWORD, headers=BEARER).headers["etag"]
        self.assertEqual(put(PASSWORD, headers=BEARER | {"If-Match": etag}, json=four).json()["version"], 4)
        # Old versions go with a new one.
        patch(PASSWORD, headers=BEARER, json={"options": {"max_versions": 1}}).raise_for_status()
        put(PASSWORD, headers=BEARER, json={"data": {"password": "five"}}).raise_for_status()
        self.same(get(PASSWORD, headers=BEARER, params={"version": 4}), "version_not_found")
