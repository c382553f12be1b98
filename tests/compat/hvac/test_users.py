"""Users and their logins through hvac."""

import uuid

from hvac.exceptions import InvalidPath, InvalidRequest

from support import Case, setUpModule  # unittest calls the last one


class Users(Case):
    def setUp(self):
        super().setUp()
        self.userpass = self.client.auth.userpass
        self.name = f"hvac-{uuid.uuid4().hex}"
        self.addCleanup(self.userpass.delete_user, self.name)

    def test_users(self):
        self.client.sys.enable_auth_method("userpass")
        self.nothing(self.userpass.create_or_update_user(self.name, "correct horse", policies=["app", "billing"]))
        self.assertIn(self.name, self.data(self.userpass.list_user())["keys"])
        shown = self.data(self.userpass.read_user(self.name))
        self.assertEqual((shown["policies"], shown["token_policies"]), (["app", "billing"],) * 2)
        self.assertNotIn("argon2", str(shown))
        self.nothing(self.userpass.update_password_on_user(self.name, "battery staple"))
        self.nothing(self.userpass.delete_user(self.name))
        with self.refused(InvalidPath):
            self.userpass.read_user(self.name)
        with self.refused(InvalidRequest, "missing password"):
            self.userpass.create_or_update_user(self.name)

    def test_login(self):
        self.nothing(self.userpass.create_or_update_user(self.name, "correct horse", policies="app"))
        auth = self.userpass.login(self.name, "correct horse", use_token=False)["auth"]
        self.assertEqual(auth["metadata"], {"username": self.name})
        self.assertEqual(auth["policies"], ["app", "default"])
        self.assertTrue(auth["client_token"].startswith(f"okms.{auth['accessor']}."))
        for name in (self.name, f"{self.name}-none"):
            with self.refused(InvalidRequest, "invalid username or password"):
                self.userpass.login(name, "wrong")
