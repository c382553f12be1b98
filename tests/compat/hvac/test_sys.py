"""The server's state and its mounts through hvac."""

import os
import time
import uuid

from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, Unauthorized

from support import NO_CERTIFICATE, Case, keeper, setUpModule  # unittest calls the last one


class Server(Case):
    def setUp(self):
        super().setUp()
        self.bare = self.other(cert=NO_CERTIFICATE)

    def test_health(self):
        for client in (self.client, self.bare):
            answer = client.sys.read_health_status()
            self.assertEqual((answer.status_code, answer.content), (200, b""))
            health = client.sys.read_health_status(method="GET")
            state = {"initialized": True, "sealed": False, "standby": False, "performance_standby": False}
            self.assertLessEqual(state.items(), health.items())
            self.assertLess(abs(time.time() - health["server_time_utc"]), 60)
            for name in ("version", "cluster_name", "cluster_id"):
                self.assertIsInstance(health[name], str)
            answer = client.sys.read_health_status(active_code=299, method="GET")
            self.assertEqual((answer.status_code, answer.json()["sealed"]), (299, False))
        # These conditions never hold here.
        health = self.bare.sys.read_health_status(True, None, 298, 297, 296, 295, 294, method="GET")
        self.assertTrue(health["initialized"])
        with self.subTest("a code that is none"):
            answer = self.bare.adapter.get("/v1/sys/health", params={"activecode": "x"}, raise_exception=False)
            self.assertEqual(answer.status_code, 400)

    def test_seal_status(self):
        for client in (self.client, self.bare):
            status = client.sys.read_seal_status()
            self.assertLessEqual({"initialized": True, "sealed": False}.items(), status.items())
            for name in ("t", "n", "progress"):
                self.assertIsInstance(status[name], int)
            for name in ("type", "version", "storage_type", "nonce"):
                self.assertIsInstance(status[name], str)
            self.assertFalse(client.sys.is_sealed())
            self.assertFalse(client.seal_status["sealed"])

    def test_initialized(self):
        for client in (self.client, self.bare):
            self.assertEqual(client.sys.read_init_status(), {"initialized": True})
            self.assertTrue(client.sys.is_initialized())

    def test_leader(self):
        for client in (self.client, self.bare):
            self.assertIs(client.sys.read_leader_status()["ha_enabled"], False)
            self.assertIs(client.ha_status["ha_enabled"], False)

    def test_auth_methods(self):
        methods = self.data(self.client.sys.list_auth_methods())
        self.assertEqual((methods["cert/"]["type"], methods["token/"]["type"]), ("cert", "token"))
        with self.refused(Unauthorized):
            self.bare.sys.list_auth_methods()


class Mounts(Case):
    def listed(self):
        return self.data(self.client.sys.list_mounted_secrets_engines())

    def test_list(self):
        answer = self.client.sys.list_mounted_secrets_engines()
        secret = self.data(answer)["secret/"]
        self.assertEqual((secret["type"], secret["options"]), ("kv", {"version": "2"}))
        for name in ("accessor", "uuid", "description"):
            self.assertIsInstance(secret[name], str)
        for name in ("default_lease_ttl", "max_lease_ttl"):
            self.assertIsInstance(secret["config"][name], int)
        self.assertIs(secret["config"]["force_no_cache"], False)
        self.assertEqual(answer["secret/"], secret, "mounts stand beside the envelope too, as older clients read them")
        self.assertNotIn("ibmcloud/kv/", answer["data"])
        self.assertEqual(self.client.sys.retrieve_mount_option("secret", "version"), "2")
        self.assertEqual(self.client.sys.retrieve_mount_option("secret", "none", "default"), "default")

    def test_enable_and_disable(self):
        mount = self.mount(description="of the suite")
        entry, secret = (self.listed()[name] for name in (f"{mount}/", "secret/"))
        self.assertEqual((entry["type"], entry["options"]), ("kv", {"version": "2"}))
        self.assertEqual(entry["description"], "of the suite")
        self.assertNotEqual(entry["uuid"], secret["uuid"])
        self.assertNotEqual(entry["accessor"], secret["accessor"])
        self.nothing(self.client.sys.disable_secrets_engine(mount))
        self.assertNotIn(f"{mount}/", self.listed())
        with self.refused(InvalidPath, f'no handler for route "{mount}/data/secret". route entry not found.'):
            self.read("secret", mount_point=mount)
        # The other spelling of the type, and a path with a slash.
        mount += "/nested"
        self.addCleanup(keeper.adapter.delete, f"/v1/sys/mounts/{mount}?force=true", raise_exception=False)
        self.nothing(self.client.sys.enable_secrets_engine("kv", mount, options={"version": "2"}))
        self.assertEqual(self.listed()[f"{mount}/"]["options"], {"version": "2"})
        self.write("secret", mount_point=mount)
        self.assertEqual(self.data(self.kv.list_secrets("", mount_point=mount))["keys"], ["secret"])
        self.kv.delete_metadata_and_all_versions("secret", mount_point=mount)
        self.nothing(self.client.sys.disable_secrets_engine(mount))

    def test_is_a_view(self):
        mount = self.mount()
        self.write("a/b", {"n": 1}, mount_point=mount)
        self.assertEqual(
            self.read("a/b", mount_point=mount),
            self.read(f"{mount}/a/b"),
        )
        self.write(f"{mount}/c", {"n": 2})
        self.assertEqual(self.data(self.kv.list_secrets("", mount_point=mount))["keys"], ["a/", "c"])
        self.assertEqual(self.data(self.kv.list_secrets(mount))["keys"], ["a/", "c"])

    def test_what_is_in_use_stays(self):
        mount = self.mount()
        for taken in (mount, "secret"):
            for path in (taken, f"{taken}/below"):
                with self.refused(InvalidRequest, f"path is already in use at {taken}/"):
                    self.client.sys.enable_secrets_engine("kv-v2", path)
        self.write("secret", mount_point=mount)
        with self.refused(InvalidRequest):
            self.client.sys.disable_secrets_engine("secret")
        self.assertLessEqual({f"{mount}/", "secret/"}, self.listed().keys())
        self.read("secret", mount_point=mount)
        # What goes with a mount can be had back.
        self.nothing(self.client.sys.disable_secrets_engine(mount))
        self.assertNotIn(f"{mount}/", self.listed())
        self.nothing(self.client.sys.enable_secrets_engine("kv-v2", mount))
        self.kv.undelete_secret_versions("secret", [1], mount_point=mount)
        self.read("secret", mount_point=mount)
        # By force, the secrets go with it.
        self.nothing(self.client.adapter.delete(f"/v1/sys/mounts/{mount}?force=true"))
        with self.absent():
            self.read(f"{mount}/secret")

    def test_tune(self):
        mount = self.mount(description="before")
        self.nothing(self.client.sys.tune_mount_configuration(mount, description="after"))
        self.assertEqual(self.listed()[f"{mount}/"]["description"], "after")
        self.nothing(self.client.sys.tune_mount_configuration(mount, options={"version": "2"}))
        with self.refused(InvalidRequest, "cannot downgrade mount from version 2"):
            self.client.sys.tune_mount_configuration(mount, options={"version": "1"})
        config = self.data(self.client.sys.read_mount_configuration(mount))
        self.assertEqual((config["description"], config["force_no_cache"]), ("after", False))
        self.assertEqual(config["options"], {"version": "2"})
        for name in ("default_lease_ttl", "max_lease_ttl"):
            self.assertIsInstance(config[name], int)

    def test_policies(self):
        sys = self.client.sys
        text = 'path "secret/*" { capabilities = ["read"] }'
        sys.create_or_update_policy("hvac-old", text)
        sys.create_or_update_policy("hvac-object", {"path": {"secret/*": {"capabilities": ["read"]}}})
        sys.create_or_update_acl_policy("hvac", text)
        self.assertLessEqual({"default", "hvac", "hvac-old", "root"}, set(sys.list_policies()["data"]["policies"]))
        self.assertLessEqual({"default", "hvac", "hvac-old", "root"}, set(sys.list_acl_policies()["data"]["keys"]))
        self.assertEqual(sys.read_policy("hvac")["data"]["rules"], text)
        self.assertEqual(sys.read_acl_policy("hvac-old")["data"]["policy"], text)
        with self.refused(InvalidRequest, "failed to parse policy"):
            sys.create_or_update_policy("hvac-wrong", 'path "secret/*" { capabilities = ["raed"] }')
        for name in ("hvac-old", "hvac-object"):
            sys.delete_policy(name)
        sys.delete_acl_policy("hvac")
        self.assertNotIn("hvac", sys.list_acl_policies()["data"]["keys"])

    def test_certificate_roles(self):
        roles = self.client.auth.cert
        with open(os.environ["KMS_RESTAPI_CA"]) as file:
            authority = file.read()
        # Nobody here has such a name.
        roles.create_ca_certificate_role(
            "hvac-role", certificate=authority, allowed_common_names="hvac-nobody-*", token_policies=["read-only"], token_ttl=60
        )
        role = self.data(roles.read_ca_certificate_role("hvac-role"))
        self.assertEqual((role["allowed_common_names"], role["token_policies"]), (["hvac-nobody-*"], ["read-only"]))
        self.assertEqual((role["token_ttl"], role["certificate"]), (60, authority))
        self.assertIn("hvac-role", roles.list_certificate_roles()["data"]["keys"])
        with self.refused(InvalidRequest, "does not fit"):
            roles.login(
                name="hvac-role", cert_pem=os.environ["KMS_RESTAPI_CERT"], key_pem=os.environ["KMS_RESTAPI_KEY"]
            )
        roles.delete_certificate_role("hvac-role")

    def test_login_by_role(self):
        """With a role of our own certificate, which takes nothing from it meanwhile."""
        roles = self.client.auth.cert
        files = {"cert_pem": os.environ["VAULT_CLIENT_CERT"], "key_pem": os.environ["VAULT_CLIENT_KEY"]}
        with open(files["cert_pem"]) as file:
            own = file.read()
        name = f"hvac-{uuid.uuid4().hex}"
        self.addCleanup(roles.delete_certificate_role, name)
        roles.create_ca_certificate_role(name, certificate=own, token_policies=["admin"], token_ttl=60)
        client = self.other()
        auth = client.auth.cert.login(name=name, **files)["auth"]
        self.assertEqual((auth["policies"], auth["metadata"]["cert_name"]), (["admin", "default"], name))
        self.assertLessEqual(auth["lease_duration"], 60)
        self.assertEqual(client.token, auth["client_token"])
        self.assertTrue(client.is_authenticated())
        path = self.path()
        client.secrets.kv.v2.create_or_update_secret(path, {"n": 1})
        self.assertEqual(self.read(path)["data"], {"n": 1})

    def test_what_is_not_served(self):
        for path in ("sys/x", "auth/x", "api", "cubbyhole", "identity", "a/data", "a/metadata/b", "database"):
            with self.subTest(path), self.refused(InvalidRequest):
                self.client.sys.enable_secrets_engine("kv-v2", path)
                self.client.sys.disable_secrets_engine(path)
        for kind in ("kv", "kv-v1", "transit", "database", "pki"):
            with self.subTest(kind), self.refused(InvalidRequest):
                self.client.sys.enable_secrets_engine(kind, f"hvac-{kind}")
                self.client.sys.disable_secrets_engine(f"hvac-{kind}")
        sys, auth = self.client.sys, self.client.auth
        for what, call in (
            ("log in", lambda: auth.ldap.login("hvac", "password")),
            ("database", lambda: self.client.secrets.database.list_connections()),
        ):
            # The sentence names what it is about.
            with self.subTest(what), self.refused(InvalidRequest, what):
                call()
        with self.refused(Forbidden, "operator"):
            sys.enable_audit_device("file", options={"file_path": "audit.log"})
