"""KV version 2 through hvac."""

import os
import time
from contextlib import contextmanager

import hvac
from hvac.exceptions import InvalidPath, InvalidRequest

from support import ENVELOPE, VERSION, Case, keeper, setUpModule  # unittest calls the last one


class Values(Case):
    def test_write_and_read(self):
        path = self.path()
        written = self.write(path, {"user": "app", "password": "correct horse"})
        self.assertEqual(written.keys(), VERSION)
        self.assertEqual((written["version"], written["deletion_time"], written["destroyed"]), (1, "", False))
        self.assertIsNone(written["custom_metadata"])
        self.just_now(written["created_time"])
        for answer in (
            self.kv.read_secret(path, raise_on_deleted_version=True),
            self.kv.read_secret_version(path, raise_on_deleted_version=True),
            self.client.read(f"secret/data/{path}"),
        ):
            read = self.data(answer)
            self.assertEqual(read, {"data": {"user": "app", "password": "correct horse"}, "metadata": written})

    def test_versions(self):
        path = self.path()
        self.assertEqual(self.write(path, {"n": 1}, {"n": 2}, {"n": 2})["version"], 3)
        for version, n in ((1, 1), (2, 2), (3, 2), (0, 2), (None, 2)):
            read = self.read(path, version)
            self.assertEqual((read["metadata"]["version"], read["data"]), (version or 3, {"n": n}))
        with self.absent():
            self.read(path, 4)
        with self.refused(InvalidRequest, 'error converting input for field "version"'):
            self.read(path, "first")

    def test_values_come_back_as_written(self):
        value = {
            "text": "<ä>&\u2028\U0001f511\"\\\n",
            "": "a name may be empty",
            "numbers": [0, -1, 12345678901234567890, 9007199254740993, 1.5, 1e300],
            "one point zero": 1.0,
            "others": [True, False, None, [], {}, [{"a": [None]}]],
            "deep": {"er": {"and": {"deeper": {}}}},
        }
        path = self.path()
        self.write(path, value)
        read = self.read(path)["data"]
        self.assertEqual(read, value)
        self.assertIsInstance(read["one point zero"], float)
        self.write(path, {})
        self.assertEqual(self.read(path)["data"], {})

    def test_a_write_without_data(self):
        for value in (None, []):
            with self.refused(InvalidRequest, "no data provided"):
                self.kv.create_or_update_secret(self.path(), value)
        with self.refused(InvalidRequest, 'Field validation failed: error converting input for field "data"'):
            self.kv.create_or_update_secret(self.path(), "text")

    def test_names(self):
        names = ["a b", "a#b", "a?b=c", "a%b", "a%2Fb", "käse", "鍵", "a+b", "a=b:c@d", "~", "a;b,c", "data", "config"]
        for name in names:
            self.write(self.path(name), {"name": name})
        self.write(self.path("käse/a b/c"))
        for name in names:
            read = self.read(f"{self.folder}/{name}")
            self.assertEqual(read["data"], {"name": name})
        listed = self.data(self.kv.list_secrets(self.folder))["keys"]
        self.assertEqual(listed, sorted([*names, "käse/"], key=str.encode))

    def test_cas(self):
        path = self.path()
        self.assertEqual(self.write(path, cas=0)["version"], 1)
        self.assertEqual(self.write(path, {"n": 2}, cas=1)["version"], 2)
        for stale in (0, 1, 3, -1):
            with self.refused(InvalidRequest, "check-and-set parameter did not match the current version"):
                self.kv.create_or_update_secret(path, {"n": 3}, cas=stale)
        with self.refused(InvalidRequest, "error parsing check-and-set parameter"):
            self.kv.create_or_update_secret(path, {"n": 3}, cas="soon")
        read = self.read(path)
        self.assertEqual((read["data"], read["metadata"]["version"]), ({"n": 2}, 2))

    def test_cas_required(self):
        path = self.path()
        self.nothing(self.kv.update_metadata(path, cas_required=True))
        with self.refused(InvalidRequest, "check-and-set parameter required for this call"):
            self.kv.create_or_update_secret(path, {"n": 1})
        self.assertEqual(self.write(path, cas=0)["version"], 1)
        self.nothing(self.kv.update_metadata(path, cas_required=False))
        self.assertEqual(self.write(path)["version"], 2)

    def test_patch(self):
        path = self.path()
        # hvac reads, and writes with the version that it read as cas.
        self.write(path, {"user": "app", "password": "correct horse", "hosts": {"a": 1}})
        patched = self.data(self.kv.patch(path, {"password": "battery staple", "hosts": {"b": 2}}))
        self.assertEqual((patched.keys(), patched["version"]), (VERSION, 2))
        read = self.read(path)
        self.assertEqual(read["data"], {"user": "app", "password": "battery staple", "hosts": {"b": 2}})
        self.kv.delete_latest_version_of_secret(path)
        for missing in (path, self.path("missing")):
            with self.assertRaisesRegex(InvalidPath, "patch only works on existing data"):
                self.kv.patch(missing, {"n": 1})

    def test_what_is_not_there(self):
        for raises in (True, False):
            with self.absent():
                self.read(self.path(), raise_on_deleted_version=raises)
        with self.absent():
            self.kv.read_secret_metadata(self.path())
        self.assertIsNone(self.client.read(f"secret/data/{self.folder}"))
        self.assertIsNone(self.client.list(f"secret/metadata/{self.folder}"))

    def test_without_the_helpers(self):
        path = f"secret/data/{self.path()}"
        self.assertEqual(self.data(self.client.write(path, data={"n": 1}))["version"], 1)
        self.assertEqual(self.data(self.client.write_data(path, data={"data": {"n": 2}}))["version"], 2)
        self.assertEqual(self.data(self.client.read(f"{path}?version=1"))["data"], {"n": 1})
        self.assertIsNone(self.client.delete(path))
        self.assertIsNone(self.client.read(path))

    def test_the_path_of_version_1(self):
        root = "Non-listing operations on the root of a K/V v2 mount are not supported."
        for path, text in (
            (self.path(), "Invalid path for a versioned K/V secrets engine."),
            ("data", root),
            ("delete", root),
        ):
            with self.refused(InvalidPath) as caught:
                self.client.adapter.get(f"/v1/secret/{path}")
            self.assertIsNone(caught.exception.json["data"])
            (warning,) = caught.exception.json["warnings"]
            self.assertTrue(warning.startswith(text), warning)

    def test_headers(self):
        raw = self.other(adapter=hvac.adapters.RawAdapter)
        path = self.path()
        self.write(path)
        for answer in (
            raw.adapter.get(f"/v1/secret/data/{path}"),
            raw.adapter.get(f"/v1/secret/data/{path}/no", raise_exception=False),
            raw.adapter.get("/v1/sys/seal-status"),
        ):
            self.assertEqual(answer.headers["content-type"], "application/json")
            self.assertEqual(answer.headers["cache-control"], "no-store")

    def test_one_secret_by_all_names(self):
        path = self.path()
        self.write(path, {"n": 1})
        read = self.read(path)
        own = self.other(url=os.environ["KMS_RESTAPI_ENDPOINT"])
        for kv, mount in ((self.kv, "ibmcloud/kv"), (own.secrets.kv.v2, "secret"), (own.secrets.kv.v2, "ibmcloud/kv")):
            self.assertEqual(
                self.data(kv.read_secret(path, mount_point=mount, raise_on_deleted_version=True)), read, mount
            )
        native = self.client.adapter.get(f"/v2/secret/{path}", params={"includeData": "true"})
        self.assertEqual((native["path"], native["version"]["data"]), (path, {"n": 1}))


class Deletion(Case):
    @contextmanager
    def gone(self, *, deleted, destroyed):
        """The 404 of a version that once was: with a body, from which hvac can answer."""
        with self.refused(InvalidPath) as caught:
            yield caught
        body = caught.exception.json
        self.assertLessEqual(ENVELOPE, body.keys())
        self.assertEqual(body["errors"], [])
        self.assertIsNone(body["data"]["data"])
        metadata = body["data"]["metadata"]
        self.assertEqual(metadata.keys(), VERSION)
        self.assertEqual((metadata["deletion_time"] != "", metadata["destroyed"]), (deleted, destroyed))

    def test_delete_the_latest(self):
        path = self.path()
        self.write(path, {"n": 1}, {"n": 2})
        self.nothing(self.kv.delete_latest_version_of_secret(path))
        for version in (None, 2):
            with self.gone(deleted=True, destroyed=False):
                self.read(path, version)
            found = self.kv.read_secret_version(path, version, raise_on_deleted_version=False)
            self.assertIsNone(found["data"]["data"])
            self.assertEqual(found["data"]["metadata"]["version"], 2)
            self.just_now(found["data"]["metadata"]["deletion_time"])
        with self.gone(deleted=True, destroyed=False):
            self.kv.read_secret(path, raise_on_deleted_version=True)
        self.assertIsNone(self.kv.read_secret(path, raise_on_deleted_version=False)["data"]["data"])
        self.assertEqual(self.read(path, 1)["data"], {"n": 1})
        self.nothing(self.kv.delete_latest_version_of_secret(path))
        again = self.kv.read_secret(path, raise_on_deleted_version=False)
        self.assertEqual(again["data"], found["data"], "a second delete keeps the first time")

    def test_undelete(self):
        path = self.path()
        self.write(path, {"n": 1}, {"n": 2})
        self.kv.delete_latest_version_of_secret(path)
        self.nothing(self.kv.undelete_secret_versions(path, [2]))
        read = self.read(path)
        self.assertEqual((read["data"], read["metadata"]["deletion_time"]), ({"n": 2}, ""))

    def test_delete_versions(self):
        path = self.path()
        self.write(path, {"n": 1}, {"n": 2}, {"n": 3})
        # Numbers that name no version are skipped.
        self.nothing(self.kv.delete_secret_versions(path, [1, 2, 9]))
        for version in (1, 2):
            with self.gone(deleted=True, destroyed=False):
                self.read(path, version)
        self.assertEqual(self.read(path)["data"], {"n": 3})
        versions = self.data(self.kv.read_secret_metadata(path))["versions"]
        self.assertEqual({n: v["deletion_time"] != "" for n, v in versions.items()}, {"1": True, "2": True, "3": False})
        self.nothing(self.kv.undelete_secret_versions(path, [1, 9]))
        self.assertEqual(self.read(path, 1)["data"], {"n": 1})
        with self.gone(deleted=True, destroyed=False):
            self.read(path, 2)

    def test_destroy(self):
        path = self.path()
        self.write(path, {"n": 1}, {"n": 2}, {"n": 3})
        self.kv.delete_secret_versions(path, [1])
        self.nothing(self.kv.destroy_secret_versions(path, [1, 2]))
        self.nothing(self.kv.undelete_secret_versions(path, [1, 2]))
        with self.gone(deleted=True, destroyed=True):
            self.read(path, 1)
        found = self.kv.read_secret_version(path, 1, raise_on_deleted_version=False)
        self.assertTrue(found["data"]["metadata"]["destroyed"])
        # Destroyed without a delete before it has no deletion time, by which hvac knows what it may return.
        for raises in (True, False):
            with self.gone(deleted=False, destroyed=True):
                self.read(path, 2, raise_on_deleted_version=raises)
        self.assertEqual(self.read(path)["data"], {"n": 3})

    def test_no_version_given(self):
        for call, text in (("delete", "No"), ("undelete", "No"), ("destroy", "no")):
            with self.refused(InvalidRequest, f"{text} version number provided"):
                self.client.write_data(f"secret/{call}/{self.path()}", data={"versions": []})
            with self.refused(InvalidRequest, 'error converting input for field "versions"'):
                self.client.write_data(f"secret/{call}/{self.path()}", data={"versions": ["a"]})

    def test_what_is_not_there(self):
        path = self.path()
        self.nothing(self.kv.delete_latest_version_of_secret(path))
        self.nothing(self.kv.delete_secret_versions(path, [1]))
        self.nothing(self.kv.undelete_secret_versions(path, [1]))
        self.nothing(self.kv.destroy_secret_versions(path, [1]))
        self.nothing(self.kv.delete_metadata_and_all_versions(path))
        with self.absent():
            self.read(path)

    def test_a_write_over_a_deleted_version(self):
        path = self.path()
        self.write(path)
        self.kv.delete_latest_version_of_secret(path)
        with self.refused(InvalidRequest, "check-and-set parameter did not match"):
            self.kv.create_or_update_secret(path, {"n": 2}, cas=0)
        self.assertEqual(self.write(path, {"n": 2}, cas=1)["version"], 2)
        self.assertEqual(self.read(path)["data"], {"n": 2})

    def test_delete_all(self):
        path = self.path()
        self.write(path, {"n": 1}, {"n": 2})
        self.kv.update_metadata(path, custom_metadata={"owner": "billing"})
        self.nothing(self.kv.delete_metadata_and_all_versions(path))
        for version in (None, 1, 2):
            with self.absent():
                self.read(path, version)
        with self.absent():
            self.kv.read_secret_metadata(path)
        with self.absent():
            self.kv.list_secrets(self.folder)
        written = self.write(path, {"n": 3}, cas=0)
        self.assertEqual((written["version"], written["custom_metadata"]), (1, None))


class Metadata(Case):
    def settings(self, path):
        return self.data(self.kv.read_secret_metadata(path))

    def test_of_a_secret(self):
        path = self.path()
        first = self.write(path)
        last = self.write(path)
        read = self.settings(path)
        self.assertEqual((read["current_version"], read["oldest_version"]), (2, 0))
        self.assertEqual((read["created_time"], read["updated_time"]), (first["created_time"], last["created_time"]))
        self.assertEqual((read["max_versions"], read["cas_required"], read["delete_version_after"]), (0, False, "0s"))
        self.assertIsNone(read["custom_metadata"])
        self.assertEqual(read["versions"].keys(), {"1", "2"})
        for number, written in (("1", first), ("2", last)):
            for name in ("created_time", "deletion_time", "destroyed"):
                self.assertEqual(read["versions"][number][name], written[name])

    def test_before_the_first_version(self):
        path = self.path()
        self.nothing(self.kv.update_metadata(path, custom_metadata={"owner": "billing"}))
        read = self.settings(path)
        self.assertEqual((read["current_version"], read["oldest_version"], read["versions"]), (0, 0, {}))
        self.assertEqual(self.data(self.kv.list_secrets(self.folder))["keys"], ["secret"])
        with self.absent():
            self.kv.read_secret(path, raise_on_deleted_version=False)
        written = self.write(path, cas=0)
        self.assertEqual((written["version"], written["custom_metadata"]), (1, {"owner": "billing"}))

    def test_update(self):
        path = self.path()
        self.write(path)
        custom = {"owner": "billing", "rotated": "2026-11-20 ü"}
        self.nothing(self.kv.update_metadata(path, 5, True, "3h25m19s", custom_metadata=custom))
        read = self.settings(path)
        self.assertEqual((read["max_versions"], read["cas_required"]), (5, True))
        self.assertEqual((read["delete_version_after"], read["custom_metadata"]), ("3h25m19s", custom))
        # What is not given stays; hvac always gives delete_version_after. Custom metadata is replaced as a whole.
        self.nothing(self.kv.update_metadata(path, custom_metadata={"team": "storage"}))
        read = self.settings(path)
        self.assertEqual((read["max_versions"], read["cas_required"]), (5, True))
        self.assertEqual((read["delete_version_after"], read["custom_metadata"]), ("0s", {"team": "storage"}))
        self.assertEqual(self.write(path, cas=1)["custom_metadata"], {"team": "storage"})
        self.nothing(self.kv.update_metadata(path, 0, False, custom_metadata={}))
        read = self.settings(path)
        self.assertEqual((read["max_versions"], read["cas_required"], read["custom_metadata"]), (0, False, None))

    def test_max_versions(self):
        path = self.path()
        self.kv.update_metadata(path, max_versions=2)
        oldest = []
        for n in range(1, 5):
            self.write(path, {"n": n})
            oldest.append(self.settings(path)["oldest_version"])
        self.assertEqual(oldest, [0, 1, 2, 3])
        self.assertEqual(self.settings(path)["versions"].keys(), {"3", "4"})
        with self.absent():
            self.read(path, 2)

    def test_delete_version_after(self):
        path = self.path()
        self.assertEqual(self.write(path)["deletion_time"], "")
        self.nothing(self.kv.update_metadata(path, delete_version_after="90m"))
        self.assertEqual(self.settings(path)["delete_version_after"], "1h30m0s")
        self.lives_for(self.write(path), minutes=90)
        read = self.read(path)
        self.lives_for(read["metadata"], minutes=90)
        versions = self.settings(path)["versions"]
        self.assertEqual(versions["1"]["deletion_time"], "", "only versions to come are concerned")

    def test_a_version_expires(self):
        path = self.path()
        self.kv.update_metadata(path, delete_version_after="1s")
        self.write(path)
        self.read(path)
        time.sleep(1.2)
        with self.refused(InvalidPath):
            self.kv.read_secret(path, raise_on_deleted_version=True)
        expired = self.kv.read_secret(path, raise_on_deleted_version=False)["data"]
        self.assertIsNone(expired["data"])
        self.lives_for(expired["metadata"], seconds=1)

    def test_refusals(self):
        path = self.path()
        field = "Field validation failed: error converting input for field"
        custom = "custom_metadata validation failed: "
        value = 'length of value for key "k" is'
        for options, text in (
            ({"delete_version_after": "-1s"}, f'{field} "delete_version_after": cannot provide negative value'),
            ({"delete_version_after": "soon"}, f'{field} "delete_version_after"'),
            ({"max_versions": "many"}, f'{field} "max_versions"'),
            ({"custom_metadata": {"": "empty"}}, f'{custom}length of key "" is 0 but must be 0 < len(key) <= 128'),
            ({"custom_metadata": {"k" * 129: "v"}}, "is 129 but must be 0 < len(key) <= 128"),
            ({"custom_metadata": {"k": ""}}, f"{custom}{value} 0 but must be 0 < len(value) <= 512"),
            ({"custom_metadata": {"k": "ü" * 257}}, f"{custom}{value} 514 but must be 0 < len(value) <= 512"),
            ({"custom_metadata": {"k": "\u200b"}}, f'{custom}value for key "k" contains unprintable characters'),
            ({"custom_metadata": {"k": {"a": "b"}}}, "got unconvertible type"),
            (
                {"custom_metadata": {str(n): "v" for n in range(65)}},
                f"{custom}payload must contain at most 64 keys, provided 65",
            ),
        ):
            with self.subTest(options), self.refused(InvalidRequest, text):
                self.kv.update_metadata(path, **options)
        with self.refused(InvalidRequest, "2 errors occurred:\n\t* "):
            self.kv.update_metadata(path, custom_metadata={"": "empty", "k": ""})
        with self.absent():
            self.kv.read_secret_metadata(path)

    def test_custom_metadata_becomes_text(self):
        path = self.path()
        self.nothing(self.kv.update_metadata(path, custom_metadata={"number": 17, "yes": True}))
        self.assertEqual(self.settings(path)["custom_metadata"], {"number": "17", "yes": "1"})


class Listing(Case):
    def test_folders_and_secrets(self):
        for name in ("a", "a/b", "a/c/d", "B", "ä", "z/y"):
            self.write(self.path(name))
        keys = lambda path: self.data(self.kv.list_secrets(path))["keys"]
        for spelling in (self.folder, f"{self.folder}/", f"/{self.folder}"):
            self.assertEqual(keys(spelling), ["B", "a", "a/", "z/", "ä"])
        self.assertEqual(keys(f"{self.folder}/a"), ["b", "c/"])
        self.assertEqual(keys(f"{self.folder}/a/c"), ["d"])
        for root in ("", "/"):
            self.assertIn("hvac/", keys(root))
        for leaf in ("B", "a/b", "none"):
            with self.absent():
                self.kv.list_secrets(f"{self.folder}/{leaf}")

    def test_other_spellings(self):
        self.write(self.path("a/b"))
        answers = [self.kv.list_secrets(self.folder), self.client.list(f"secret/metadata/{self.folder}")]
        # For proxies that let no LIST through.
        answers.append(self.other(strict_http=True).secrets.kv.v2.list_secrets(self.folder))
        for answer in answers:
            self.assertEqual(self.data(answer), {"keys": ["a/"]})

    def test_what_is_listed(self):
        deleted, destroyed, bare = self.path("deleted"), self.path("destroyed"), self.path("bare")
        self.write(deleted)
        self.kv.delete_latest_version_of_secret(deleted)
        self.write(destroyed)
        self.kv.destroy_secret_versions(destroyed, [1])
        self.kv.update_metadata(bare, max_versions=1)
        self.assertEqual(self.data(self.kv.list_secrets(self.folder))["keys"], ["bare", "deleted", "destroyed"])
        for path in (deleted, destroyed, bare):
            self.kv.delete_metadata_and_all_versions(path)
        with self.absent():
            self.kv.list_secrets(self.folder)


class Config(Case):
    def test_of_a_mount(self):
        mount = self.mount()
        read = lambda: self.data(self.kv.read_configuration(mount))
        fresh = {"max_versions": 0, "cas_required": False, "delete_version_after": "0s"}
        self.assertLessEqual(fresh.items(), read().items())
        self.nothing(self.kv.configure(3, True, "6h", mount_point=mount))
        set_to = {"max_versions": 3, "cas_required": True, "delete_version_after": "6h0m0s"}
        self.assertLessEqual(set_to.items(), read().items())
        # Without cas_required it stays; hvac always gives the other two.
        self.nothing(self.kv.configure(mount_point=mount))
        self.assertLessEqual({**fresh, "max_versions": 10, "cas_required": True}.items(), read().items())

    def test_governs_the_secrets_of_a_mount(self):
        mount = self.mount()
        self.kv.configure(2, True, "6h", mount_point=mount)
        with self.refused(InvalidRequest, "check-and-set parameter required for this call"):
            self.kv.create_or_update_secret("secret", {"n": 0}, mount_point=mount)
        for n in range(3):
            written = self.write("secret", {"n": n}, cas=n, mount_point=mount)
        self.lives_for(written, hours=6)
        metadata = self.data(self.kv.read_secret_metadata("secret", mount_point=mount))
        self.assertEqual((metadata["versions"].keys(), metadata["oldest_version"]), ({"2", "3"}, 2))
        # A secret shows its own settings; these are the mount's.
        own = (metadata["max_versions"], metadata["cas_required"], metadata["delete_version_after"])
        self.assertEqual(own, (0, False, "0s"))
        self.nothing(self.kv.update_metadata("secret", delete_version_after="3h", mount_point=mount))
        self.lives_for(self.write("secret", cas=3, mount_point=mount), hours=3)
        self.kv.configure(2, delete_version_after="-1s", mount_point=mount)
        self.assertEqual(self.data(self.kv.read_configuration(mount))["delete_version_after"], "-1s")
        self.assertEqual(self.write("secret", cas=4, mount_point=mount)["deletion_time"], "")

    def test_a_secret_cannot_lift_the_cas_of_its_mount(self):
        mount = self.mount()
        self.kv.configure(cas_required=True, mount_point=mount)
        answer = self.kv.update_metadata("secret", cas_required=False, mount_point=mount)
        self.assertIsNone(answer["data"])
        self.assertEqual(
            answer["warnings"],
            ['"cas_required" set to false, but is mandated by backend config. This value will be ignored.'],
        )
        with self.refused(InvalidRequest, "check-and-set parameter required for this call"):
            self.kv.create_or_update_secret("secret", {"n": 1}, mount_point=mount)

    def test_refusals(self):
        mount = self.mount()
        for field in ("max_versions", "delete_version_after"):
            with self.refused(InvalidRequest, f'error converting input for field "{field}"'):
                self.kv.configure(**{field: "many"}, mount_point=mount)

    def test_of_secret_is_the_config_of_the_domain(self):
        before = self.client.adapter.get("/v2/secretConfig")
        self.addCleanup(keeper.adapter.put, "/v2/secretConfig", json=before)
        self.nothing(self.kv.configure(max_versions=17))
        self.assertEqual(self.data(self.kv.read_configuration())["max_versions"], 17)
        self.assertEqual(self.data(self.kv.read_configuration("ibmcloud/kv"))["max_versions"], 17)
        self.assertEqual(self.client.adapter.get("/v2/secretConfig")["maxVersions"], 17)
