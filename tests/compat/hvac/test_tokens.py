"""Logins by certificate, tokens and wrapped responses through hvac."""

import os
import time
from contextlib import contextmanager

from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, Unauthorized

from support import ENVELOPE, NO_CERTIFICATE, Case, keeper, moment, setUpModule  # unittest calls the last one

# The longest life of a token, and the one that it gets when it asks for none.
MAX_TTL = 768 * 3600


class Tokens(Case):
    def login(self, **options):
        auth = self.auth(self.client.auth.cert.login(**options))
        revoke = {"json": {"token": auth["client_token"]}, "raise_exception": False}
        self.addCleanup(keeper.adapter.post, "/v1/auth/token/revoke", **revoke)
        return auth

    def test_login(self):
        self.assertFalse(self.client.is_authenticated(), "hvac asks for a token, which a certificate makes needless")
        for name in ("", "any"):
            auth = self.login(name=name)
            self.assertTrue(auth["client_token"].startswith(f"okms.{auth['accessor']}."))
            self.assertEqual((auth["lease_duration"], auth["renewable"]), (MAX_TTL, True))
            self.assertEqual(self.client.token, auth["client_token"])
            self.assertTrue(self.client.is_authenticated())
            path = self.path(f"by {name}")
            self.write(path)
            self.assertEqual(self.read(path)["data"], {"n": 1})

    def test_login_with_files(self):
        client = self.other(cert=NO_CERTIFICATE)
        files = {"cert_pem": os.environ["VAULT_CLIENT_CERT"], "key_pem": os.environ["VAULT_CLIENT_KEY"]}
        self.auth(client.auth.cert.login(**files, use_token=False))
        self.assertIsNone(client.token)

    def test_without_a_certificate(self):
        auth = self.login()
        bare = self.other(cert=NO_CERTIFICATE)
        read = lambda: bare.secrets.kv.v2.read_secret(self.folder, raise_on_deleted_version=True)
        with self.refused(Unauthorized):
            read()
        with self.refused(Unauthorized):
            bare.adapter.login("/v1/auth/cert/login", json={})
        # A token is bound to the key of the certificate that it was got with.
        bare.token = auth["client_token"]
        with self.refused(Forbidden, "permission denied"):
            read()

    def test_a_wrong_token(self):
        token = self.login()["client_token"]
        path = self.path()
        self.write(path)
        last = "a" if token[-1] != "a" else "b"
        for wrong in ("hvs.CAESI", "okms.a.b", token[:-1], token[:-1] + last, f"{token}a"):
            self.client.token = wrong
            self.assertFalse(self.client.is_authenticated())
            with self.refused(Forbidden, "permission denied"):
                self.read(path)

    def test_lookup(self):
        auth = self.login()
        token, accessor = auth["client_token"], auth["accessor"]
        for answer in (
            self.client.auth.token.lookup_self(),
            self.client.auth.token.lookup(token),
            self.client.auth.token.lookup_accessor(accessor),
            self.client.lookup_token(),
            self.client.lookup_token(token),
            self.client.lookup_token(accessor, accessor=True),
        ):
            found = self.data(answer)
            self.assertEqual(found["accessor"], accessor)
            # Who knows an accessor does not learn the token by it.
            self.assertIn(found["id"], ("", token))
            self.assertEqual((found["type"], found["policies"], found["orphan"]), ("service", ["default"], True))
            self.assertEqual((found["creation_ttl"], found["num_uses"], found["renewable"]), (MAX_TTL, 0, True))
            self.assertEqual(found["path"], "auth/cert/login")
            self.assertTrue(MAX_TTL - 60 < found["ttl"] <= MAX_TTL)
            self.assertLess(abs(time.time() - found["creation_time"]), 60)
            self.assertAlmostEqual(moment(found["issue_time"]).timestamp(), found["creation_time"], delta=1)
            life = moment(found["expire_time"]) - moment(found["issue_time"])
            self.assertAlmostEqual(life.total_seconds(), MAX_TTL, delta=1)
            for name in ("display_name", "entity_id"):
                self.assertIsInstance(found[name], str)
            for name in ("meta", "explicit_max_ttl"):
                self.assertIn(name, found)
        self.assertEqual(self.data(self.client.auth.token.lookup_self())["id"], token)
        self.assertEqual(self.data(self.client.auth.token.lookup_accessor(accessor))["id"], "")
        with self.refused(Forbidden, "bad token"):
            self.client.auth.token.lookup("okms.a.b")

    def test_renew(self):
        auth = self.login()
        token = self.client.auth.token
        for increment, seconds, answer in (
            (3600, 3600, token.renew_self(increment=3600)),
            ("2h", 7200, token.renew(auth["client_token"], increment="2h")),
            ("3h", 10800, token.renew_accessor(auth["accessor"], increment="3h")),
            (14400, 14400, self.client.renew_token(auth["client_token"], increment=14400)),
            ("1000h", MAX_TTL, token.renew_self(increment="1000h")),
            (None, MAX_TTL, token.renew_self()),
        ):
            renewed = self.auth(answer)
            self.assertTrue(seconds - 60 < renewed["lease_duration"] <= seconds, f"{increment}: {renewed}")
            self.assertTrue(renewed["renewable"])
            self.assertEqual(renewed["accessor"], auth["accessor"])
        self.assertTrue(self.client.is_authenticated())

    def test_revoke(self):
        token = self.client.auth.token
        for how in ("self", "token", "accessor", "orphan", "logout", "client"):
            auth = self.login()
            self.assertTrue(self.client.is_authenticated(), how)
            if how == "self":
                self.nothing(token.revoke_self())
            elif how == "token":
                self.nothing(token.revoke(auth["client_token"]))
            elif how == "accessor":
                self.nothing(token.revoke_accessor(auth["accessor"]))
            elif how == "orphan":
                self.nothing(token.revoke_and_orphan_children(auth["client_token"]))
            elif how == "logout":
                self.client.logout(revoke_token=True)
            else:
                self.client.revoke_token(auth["client_token"])
            self.client.token = auth["client_token"]
            self.assertFalse(self.client.is_authenticated(), how)
            with self.refused(Forbidden, "permission denied"):
                self.read(self.folder)
            # The certificate goes on without it.
            self.client.token = None
            with self.refused(Forbidden, "bad token"):
                token.lookup(auth["client_token"])

    def test_create(self):
        token = self.client.auth.token
        for create in (token.create, token.create_orphan):
            auth = self.auth(create(ttl="1h", display_name="job", meta={"owner": "billing"}, renewable=False))
            self.assertEqual((auth["lease_duration"], auth["renewable"]), (3600, False))
            self.client.token = auth["client_token"]
            found = self.data(token.lookup_self())
            self.assertEqual((found["meta"], found["creation_ttl"]), ({"owner": "billing"}, 3600))
            self.assertIn("job", found["display_name"])
            with self.refused(InvalidRequest, "lease is not renewable"):
                token.renew_self()
            self.nothing(token.revoke_self())
            self.client.token = None
        with self.refused(InvalidRequest):
            token.create(num_uses=1)

    def test_a_token_expires(self):
        auth = self.auth(self.client.auth.token.create(ttl="1s"))
        self.client.token = auth["client_token"]
        self.assertTrue(self.client.is_authenticated())
        time.sleep(1.2)
        self.assertFalse(self.client.is_authenticated())

    def test_capabilities(self):
        path = f"secret/data/{self.folder}"
        for login in (False, True):
            if login:
                self.login()
            found = self.data(self.client.sys.get_capabilities([path]))
            self.assertEqual(found[path], found["capabilities"])
            self.assertTrue(
                found[path] == ["root"] or {"create", "read", "update", "patch", "delete"} <= set(found[path]), found
            )
            two = self.data(self.client.sys.get_capabilities([path, "secret/metadata/"]))
            self.assertTrue({path, "secret/metadata/"} <= two.keys())


class Wrapping(Case):
    def wrapped(self, answer, ttl, creation_path):
        self.assertLessEqual(ENVELOPE, answer.keys())
        self.assertIsNone(answer["data"])
        self.assertIsNone(answer["auth"])
        info = answer["wrap_info"]
        self.assertEqual((info["ttl"], info["creation_path"]), (ttl, creation_path))
        self.just_now(info["creation_time"])
        self.assertTrue(info["token"] and info["accessor"])
        return info["token"]

    @contextmanager
    def used_up(self):
        with self.refused(InvalidRequest, "wrapping token is not valid or does not exist"):
            yield

    def test_wrap(self):
        payload = {"password": "correct horse", "nested": {"n": [1, None]}}
        for as_parameter in (True, False):
            token = self.wrapped(self.client.sys.wrap(payload, ttl=60), 60, "sys/wrapping/wrap")
            if as_parameter:
                unwrap = lambda: self.client.sys.unwrap(token)
            else:
                self.client.token = token
                unwrap = self.client.sys.unwrap
            self.assertEqual(self.data(unwrap()), payload)
            with self.used_up():
                unwrap()

    def test_a_read(self):
        path = self.path()
        self.write(path)
        answer = self.client.read(f"secret/data/{path}", wrap_ttl="5m")
        token = self.wrapped(answer, 300, f"secret/data/{path}")
        self.assertEqual(
            self.data(self.client.sys.unwrap(token)),
            self.read(path),
        )

    def test_a_write(self):
        path = f"secret/data/{self.path()}"
        answer = self.client.write_data(path, data={"data": {"n": 1}}, wrap_ttl=120)
        self.assertEqual(self.data(self.client.sys.unwrap(self.wrapped(answer, 120, path)))["version"], 1)

    def test_a_deleted_version(self):
        path = self.path()
        self.write(path)
        self.kv.delete_latest_version_of_secret(path)
        token = self.wrapped(self.client.read(f"secret/data/{path}", wrap_ttl="5m"), 300, f"secret/data/{path}")
        with self.assertRaises(InvalidPath) as caught:
            self.client.sys.unwrap(token)
        self.assertNotEqual(caught.exception.json["data"]["metadata"]["deletion_time"], "")

    def test_a_login(self):
        answer = self.client.auth.token.create(ttl="1h", wrap_ttl="60s")
        token = self.wrapped(answer, 60, "auth/token/create")
        auth = self.auth(self.client.auth_cubbyhole(token))
        self.assertEqual(auth["accessor"], answer["wrap_info"]["wrapped_accessor"])
        self.assertEqual(self.client.token, auth["client_token"])
        self.assertTrue(self.client.is_authenticated())
        self.client.logout(revoke_token=True)

    def test_lookup_and_rewrap(self):
        first = self.client.sys.wrap({"n": 1}, ttl=90)["wrap_info"]["token"]
        looked_up = self.data(self.client.write("sys/wrapping/lookup", token=first))
        self.assertEqual((looked_up["creation_ttl"], looked_up["creation_path"]), (90, "sys/wrapping/wrap"))
        moment(looked_up["creation_time"])
        second = self.wrapped(self.client.write("sys/wrapping/rewrap", token=first), 90, "sys/wrapping/wrap")
        with self.used_up():
            self.client.sys.unwrap(first)
        self.assertEqual(self.data(self.client.sys.unwrap(second)), {"n": 1})
        with self.used_up():
            self.client.write("sys/wrapping/lookup", token=second)

    def test_expires(self):
        token = self.client.sys.wrap({"n": 1}, ttl=1)["wrap_info"]["token"]
        time.sleep(1.2)
        with self.used_up():
            self.client.sys.unwrap(token)

    def test_what_is_not_wrapped(self):
        with self.absent():
            self.client.adapter.get(f"/v1/secret/data/{self.folder}", wrap_ttl="60s")
        self.assertIs(self.client.adapter.get("/v1/sys/seal-status", wrap_ttl="60s")["sealed"], False)
        for ttl in ("soon", "-1s"):
            with self.refused(InvalidRequest, "error parsing X-Vault-Wrap-TTL header"):
                self.client.adapter.get("/v1/secret/config", wrap_ttl=ttl)
