"""An okmsd whose domain has a file of secrets, for developing, with what the clients do there; and the same file in production, where
it is read and not written.
"""

import os
import pathlib
import subprocess
import sys
from urllib.parse import quote

from server import Server, expect

here, work = pathlib.Path(__file__).parent, pathlib.Path(sys.argv[1])
CLIENTS = [
    ["bash", here / "curl.sh"],
    [sys.executable, "-B", "-m", "unittest", "test_httpx.Document.test_lines"],
]
folder, file = work / "okmsd", work / "secrets.yaml"
TEXT = "secret:\n  crud:\n    DB_PASS: s3cr3t\n    ports: [5432]\n"

with Server(folder) as okmsd:
    settings = {"OKMSD_DEV__YAML_FILE": str(file), "OKMSD_DEV__YAML_DOMAIN": okmsd.env["OKMS_ID"]}
    alone = okmsd.call("GET", f"/api/secrets?uri={quote('yaml://secret/crud')}")
    expect("there is no file where nobody says so", alone, 501, "PROVIDER_NOT_SUPPORTED")
file.write_text(TEXT)
with Server(folder, **settings) as okmsd:
    for client in CLIENTS:
        environment = {**os.environ, **okmsd.env, "DOCUMENT": str(here / "file.json")}
        if subprocess.run(client, cwd=here, env=environment).returncode:
            sys.exit("FAILED: a client with the file")
before = file.read_text()
with Server(folder, "serve", OKMSD_ENVIRONMENT="production", **settings) as okmsd:
    read = okmsd.call("GET", f"/api/secrets?uri={quote('yaml://secret/crud#DB_PASS')}")
    expect("in production it is read", (read[0], {} if read[1] == {"value": "s3cr3t"} else read[1]), 200)
    for what, got in [
        ("written", okmsd.call("POST", "/api/secrets", {"uri": "yaml://secret/crud#DB_PASS", "value": "other"})),
        ("rotated", okmsd.call("POST", "/api/secrets/rotate", {"uri": "yaml://secret/crud#DB_PASS", "value": "other"})),
        ("deleted", okmsd.call("DELETE", f"/api/secrets?uri={quote('yaml://secret/crud')}")),
    ]:
        expect(f"in production it is not {what}", got, 403, "DEV_ONLY")
if file.read_text() != before:
    sys.exit("FAILED: the file is another one")
