"""What the tests stand on. hvac reads the server's address, the authority and the client certificate from VAULT_*,
as a service that uses it does.
"""

import unittest
import uuid
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import hvac
from hvac.exceptions import InvalidPath

# A certificate that is none: with None, hvac would take the environment's.
NO_CERTIFICATE = ()

ENVELOPE = {
    "request_id",
    "lease_id",
    "renewable",
    "lease_duration",
    "data",
    "wrap_info",
    "warnings",
    "auth",
}
VERSION = {"version", "created_time", "deletion_time", "destroyed", "custom_metadata"}

# Tidies up after the tests, whatever they did to their own client.
keeper = hvac.Client()


def setUpModule():
    """Suites share the server: versions that expire on their own, or a CAS that another suite asked for, would spoil
    what is checked here. The domain gets its config back at the end, through the native API, which keeps it as typed.
    """
    unittest.addModuleCleanup(keeper.adapter.close)
    config = keeper.adapter.get("/v2/secretConfig")
    unittest.addModuleCleanup(keeper.adapter.put, "/v2/secretConfig", json=config)
    keeper.adapter.put("/v2/secretConfig", json={"casRequired": False, "deactivateVersionAfter": "0s"})


@contextmanager
def connected(**options):
    client = hvac.Client(**options)
    try:
        yield client
    finally:
        client.adapter.close()


def moment(text):
    """The instant that an RFC 3339 text names; Python knows microseconds only."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    assert text.endswith("Z"), text
    parsed = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    return parsed + timedelta(seconds=float(f"0.{fraction or 0}"))


class Case(unittest.TestCase):
    """A client with the environment's certificate, a folder that no run has used, and what all answers share."""

    maxDiff = None

    def setUp(self):
        self.client = self.enterContext(connected())
        self.kv = self.client.secrets.kv.v2
        self.folder = f"hvac/{uuid.uuid4().hex}"

    def enterContext(self, manager):
        # unittest has this since Python 3.11.
        value = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        return value

    def other(self, **options):
        return self.enterContext(connected(**options))

    def path(self, name="secret"):
        """A path for a secret, which goes with the test."""
        path = f"{self.folder}/{name}"
        self.addCleanup(keeper.secrets.kv.v2.delete_metadata_and_all_versions, path)
        return path

    def write(self, path, *values, **options):
        """Writes one version for each value; the answer to the last."""
        for value in values or ({"n": 1},):
            written = self.data(self.kv.create_or_update_secret(path, value, **options))
        return written

    def read(self, path, version=None, **options):
        """Reads a version that is to be there."""
        options.setdefault("raise_on_deleted_version", True)
        return self.data(self.kv.read_secret_version(path, version, **options))

    def mount(self, **options):
        """A mount of its own, empty and with default settings, which goes with the test."""
        mount = f"hvac-{uuid.uuid4().hex}"
        self.nothing(self.client.sys.enable_secrets_engine("kv-v2", mount, **options))
        self.addCleanup(keeper.adapter.delete, f"/v1/sys/mounts/{mount}?force=true", raise_exception=False)
        return mount

    def data(self, answer):
        """The data of an answer, after a look at the envelope."""
        self.assertIsInstance(answer, dict, answer)
        self.assertLessEqual(ENVELOPE, answer.keys())
        self.assertEqual(str(uuid.UUID(answer["request_id"])), answer["request_id"])
        self.assertEqual((answer["lease_id"], answer["renewable"], answer["lease_duration"]), ("", False, 0))
        self.assertIsNone(answer["auth"])
        self.assertIsNone(answer["wrap_info"])
        self.assertIsNone(answer["warnings"])
        return answer["data"]

    def auth(self, answer):
        """The auth of a login's answer, with all that clients look for."""
        self.assertLessEqual(ENVELOPE, answer.keys())
        auth = answer["auth"]
        for name in ("client_token", "accessor", "entity_id"):
            self.assertIsInstance(auth[name], str, name)
        self.assertEqual((auth["policies"], auth["token_policies"]), (["default"], ["default"]))
        self.assertEqual((auth["token_type"], auth["orphan"], auth["num_uses"]), ("service", True, 0))
        self.assertIsInstance(auth["lease_duration"], int)
        return auth

    def nothing(self, answer):
        """An answer without a body: hvac gives the response itself for all but 200."""
        self.assertEqual(getattr(answer, "status_code", answer), 204)
        self.assertEqual(answer.content, b"")

    def just_now(self, text):
        self.assertLess(abs(datetime.now(timezone.utc) - moment(text)), timedelta(minutes=1))

    def lives_for(self, version, **life):
        life = timedelta(**life)
        got = moment(version["deletion_time"]) - moment(version["created_time"])
        self.assertAlmostEqual(got.total_seconds(), life.total_seconds(), delta=0.001)

    @contextmanager
    def refused(self, kind, text=None):
        """An error of this kind, in the form that all errors have, with this text among the errors."""
        with self.assertRaises(kind) as caught:
            yield caught
        error = caught.exception
        # hvac reads an error's body only if its type is application/json to the letter.
        self.assertIsNotNone(error.json, error.text)
        self.assertIsInstance(error.errors, list)
        self.assertIsInstance(error.json["error_code"], int)
        for name in ("error_id", "request_id"):
            self.assertEqual(str(uuid.UUID(error.json[name])), error.json[name])
        if text is not None:
            self.assertIn(text, "\n".join(error.errors))

    @contextmanager
    def absent(self):
        """A 404 that says nothing: clients take it for "no value"."""
        with self.refused(InvalidPath) as caught:
            yield caught
        self.assertEqual(caught.exception.errors, [])
        self.assertIsNone(caught.exception.json.get("data"))
