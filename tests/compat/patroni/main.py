"""An etcd, three PostgreSQL under patroni, three okmsd over them, and what becomes of all that."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from ledger import Ledger

WORK = pathlib.Path(sys.argv[1])
OKMSD, POSTGRES = os.environ["OKMSD"], pathlib.Path(os.environ["POSTGRES"])
PAGE = (pathlib.Path(__file__).parents[3] / "docs/ENGINES.md").read_text()
# The members of the cluster are machines of their own, as far as anybody can tell.
ADDRESSES = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
# Shorter than anybody has them: an hour has few failovers otherwise.
TIMES = {"ttl": 8, "loop_wait": 1, "retry_timeout": 3}
# PostgreSQL refuses root.
AS = ["--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.getuid() == 0 else []


def block(name):
    """The lines of the block that the page marks with this name."""
    return re.search(rf"<!-- ci: {name} -->\n```\w+\n(.*?)```", PAGE, re.S)[1].splitlines()


def free_port(addresses):
    while True:
        with contextlib.ExitStack() as sockets:
            port = None
            try:
                for address in addresses:
                    one = sockets.enter_context(socket.socket())
                    one.bind((address, port or 0))
                    port = one.getsockname()[1]
            except OSError:
                continue
            return port


def run(command, **more):
    """What a command says, which has to go well."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False, **more)
    if done.returncode != 0:
        raise Failed(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


class Failed(Exception):
    pass


def soon(what, patience, ask):
    """Waits until that is so; what it is then."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        with contextlib.suppress(OSError, Failed):
            if found := ask():
                return found
        time.sleep(0.1)
    raise Failed(f"never: {what}")


def start(name, command, **more):
    """Starts a program that ends when this one does. What it says is in a file of its name."""
    with open(WORK / f"{name}.log", "ab") as log:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL, **more
        )


def authority():
    """The database's authority, and a certificate for each member, for its address and no other."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run(["openssl", "req", "-x509", *key, "-days", "2", "-subj", "/CN=database CA", "-addext", "basicConstraints=critical,CA:TRUE",
         "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", WORK / "db_ca.key", "-out", WORK / "db_ca.pem"])
    for member in MEMBERS:
        run(["openssl", "req", *key, "-subj", f"/CN={member.name}", "-keyout", member.folder / "server.key", "-out", WORK / "csr"])
        (WORK / "extensions").write_text(f"subjectAltName=IP:{member.address}\nextendedKeyUsage=serverAuth\n")
        run(["openssl", "x509", "-req", "-days", "2", "-in", WORK / "csr", "-extfile", WORK / "extensions", "-CA", WORK / "db_ca.pem",
             "-CAkey", WORK / "db_ca.key", "-out", member.folder / "server.crt"])
        (member.folder / "server.key").chmod(0o600)
        if AS:
            for file in member.folder.iterdir():
                run(["chown", "postgres:postgres", file])


class Member:
    """A PostgreSQL, and the patroni that manages it."""

    def __init__(self, number):
        self.name, self.address = f"pg-{number}", ADDRESSES[number]
        self.folder = WORK / self.name
        self.patroni = None

    def prepare(self):
        self.folder.mkdir()
        if AS:
            run(["chown", "postgres:postgres", self.folder])

    def configure(self, etcd):
        known = {"username": "postgres", "password": "super"}, {"username": "replicator", "password": "copies"}
        config = {
            "scope": "okms", "name": self.name,
            "etcd3": {"hosts": [f"127.0.0.1:{etcd}"]},
            "restapi": {"listen": f"{self.address}:{REST}", "connect_address": f"{self.address}:{REST}"},
            "bootstrap": {
                "dcs": {**TIMES, "postgresql": {"use_pg_rewind": True, "parameters": {
                    "wal_keep_size": "128MB", "shared_buffers": "32MB", "max_connections": 100}}},
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums", "no-sync"],
            },
            "postgresql": {
                "listen": f"{self.address}:{PORT}", "connect_address": f"{self.address}:{PORT}",
                "data_dir": str(self.folder / "data"), "bin_dir": str(POSTGRES), "pgpass": str(self.folder / "pgpass"),
                "use_unix_socket": True, "use_unix_socket_repl": False,
                "authentication": {"superuser": known[0], "replication": known[1], "rewind": known[0]},
                "parameters": {
                    "unix_socket_directories": str(self.folder), "ssl": "on",
                    "ssl_cert_file": str(self.folder / "server.crt"), "ssl_key_file": str(self.folder / "server.key"),
                },
                # Nobody gets in from afar but over TLS and by a password.
                "pg_hba": ["local all all trust", "hostssl all all 127.0.0.0/8 scram-sha-256",
                           "hostssl replication all 127.0.0.0/8 scram-sha-256"],
            },
            "watchdog": {"mode": "off"},
        }
        # JSON is YAML.
        (WORK / f"{self.name}.yml").write_text(json.dumps(config))

    def start(self):
        self.patroni = start(self.name, [*AS, "patroni", WORK / f"{self.name}.yml"], cwd=self.folder)

    def postmaster(self):
        try:
            return int((self.folder / "data/postmaster.pid").read_text().split()[0])
        except (OSError, IndexError, ValueError):
            return None

    def kill(self):
        """As its machine ends when it loses its power."""
        self.patroni.kill()
        self.patroni.wait()
        if main := self.postmaster():
            children = pathlib.Path(f"/proc/{main}/task/{main}/children")
            all_of_it = [main, *map(int, children.read_text().split())] if children.exists() else []
            for pid in all_of_it:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def leads(self):
        """As it says itself; one that does not answer does not lead."""
        try:
            with urllib.request.urlopen(f"http://{self.address}:{REST}/patroni", timeout=1) as answer:
                return json.load(answer)["role"] in ("master", "primary")
        except OSError:
            return False

    def sql(self, text):
        return run(["setpriv", *AS, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", str(PORT), "-U", "postgres",
                    "-d", "postgres", "-c", text], cwd="/")


PORT, REST = free_port(ADDRESSES), free_port(ADDRESSES)
MEMBERS = [Member(number) for number in range(3)]


def patronictl(*words):
    member = next(member for member in MEMBERS if member.patroni is not None)
    return run(["patronictl", "-c", WORK / f"{member.name}.yml", *words])


def listed():
    return json.loads(patronictl("list", "--format", "json"))


def leader():
    """Who leads, as all of the cluster see it, once it has a standby that acknowledges."""
    rows = listed()
    leads = [row["Member"] for row in rows if row["Role"] == "Leader" and row["State"] == "running"]
    follows = [row for row in rows if row["Role"] == "Sync Standby" and row["State"] in ("running", "streaming")]
    return next((member for member in MEMBERS if leads and follows and member.name == leads[0]), None)


def who_leads(members, patience=60):
    """Who says so himself."""
    return soon("somebody leads", patience, lambda: next((member for member in members if member.leads()), None))


def is_whole():
    """Who leads, where all members are there, on one timeline."""
    rows = [row for row in listed() if row["State"] in ("running", "streaming")]
    return len(rows) == len(MEMBERS) and len({row.get("TL") for row in rows}) == 1 and leader()


class Okmsd:
    def __init__(self, name):
        self.folder, self.name, self.process = WORK / name, name, None
        self.port, self.admin = free_port(["127.0.0.1"]), free_port(["127.0.0.1"])

    def configure(self):
        """As `okmsd init` and the page have it."""
        first = PROCESSES[0]
        if self is first:
            run([OKMSD, "init", "--dir", self.folder, "--region", "eu-west", "--listen", f"127.0.0.1:{self.port}",
                 "--server-name", "localhost"])
            for name, text in (("owner", "owned"), ("db", "served")):
                (self.folder / f"{name}.password").write_text(text + "\n")
            shutil.copy(WORK / "db_ca.pem", self.folder)
            lines = [line for line in (self.folder / "okmsd.toml").read_text().splitlines()
                     if line not in ("[store]", 'path = "okmsd.redb"') and not line.startswith("endpoint")]
            hosts = ", ".join(f'"{address}:{PORT}"' for address in ADDRESSES)
            lines += [f"hosts = [{hosts}]" if line.startswith("hosts") else line for line in block("engines-toml")]
            (WORK / "okmsd.toml").write_text("\n".join(lines) + "\n")
        else:
            self.folder.mkdir()
            for file in first.folder.iterdir():
                if file.suffix in (".pem", ".key", ".password"):
                    shutil.copy(file, self.folder)
        text = (WORK / "okmsd.toml").read_text().replace(f"127.0.0.1:{first.port}", f"127.0.0.1:{self.port}")
        text = re.sub(r"(?m)^admin_listen.*", f'admin_listen = "127.0.0.1:{self.admin}"', text)
        (self.folder / "okmsd.toml").write_text(text)

    def start(self):
        self.process = start(self.name, [OKMSD, *SERVE.split()[1:]], cwd=self.folder)

    def is_ready(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readyz", timeout=5) as answer:
            return answer.status == 200

    def do(self, *words):
        return run([OKMSD, *words, "--dir", PROCESSES[0].folder, "--endpoint", f"https://localhost:{self.port}"])


# What runs beside them.
BESIDE = []
INIT, SERVE, STATUS = block("engines")
PROCESSES = [Okmsd(name) for name in ("one", "two", "three")]


def told(what):
    print(f"ok       {what}", flush=True)


def figure(what):
    """Something that a run is to show, and that nobody judges."""
    print(f"patroni: figure: {what}", flush=True)


def change(ledger, what, do, is_same=False):
    """Does something to the cluster under load; says how long writes waited, and how much of that the cluster did."""
    before = who_leads(MEMBERS)
    began = time.monotonic()
    do(before)
    those = MEMBERS if is_same else [member for member in MEMBERS if member is not before]
    leads = who_leads(those)
    promoted = time.monotonic()
    ledger.goes_on()
    gap, ended = ledger.gap(began)
    figure(f"{what}: no write was acknowledged for {gap:.1f} s; {leads.name} led after {promoted - began:.1f} s, "
           f"and writes went on {max(0.0, ended - promoted):.1f} s after that")


def main():
    etcd, peers = free_port(["127.0.0.1"]), free_port(["127.0.0.1"])
    for member in MEMBERS:
        member.prepare()
    authority()
    for member in MEMBERS:
        member.configure(etcd)
    client, peer = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peers}"
    store = start("etcd", ["etcd", "--data-dir", WORK / "etcd", "--listen-client-urls", client, "--advertise-client-urls", client,
                           "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"])
    BESIDE.append(store)
    soon("etcd answers", 30, lambda: urllib.request.urlopen(f"{client}/health", timeout=5).status == 200)
    for member in MEMBERS:
        member.start()
    soon("three members", 60, lambda: len([row for row in listed() if row["State"] in ("running", "streaming")]) == 3)
    primary = who_leads(MEMBERS)

    for line in " ".join(block("engines-sql")).split(";"):
        if line.strip():
            primary.sql(line)
    primary.sql("alter role okmsd_owner password 'owned'")
    primary.sql("alter role okmsd password 'served'")
    for process in PROCESSES:
        process.configure()
    run([OKMSD, *INIT.split()[1:]], cwd=PROCESSES[0].folder)
    refused = subprocess.run([OKMSD, *SERVE.split()[1:]], cwd=PROCESSES[0].folder, capture_output=True, text=True, timeout=30, check=False)
    if refused.returncode == 0 or "synchronous_standby_names is empty" not in refused.stderr + refused.stdout:
        raise Failed(f"it served what a failover loses: {refused.stderr}")
    told("okmsd does not serve what a failover loses")

    *settings, switch = (line.split()[1:] for line in block("patroni"))
    for setting in settings:
        patronictl(*setting)
    soon("a standby acknowledges", 30, leader)
    for process in PROCESSES:
        process.start()
    for process in PROCESSES:
        soon(f"{process.name} is ready", 30, process.is_ready)
    status = run([OKMSD, *STATUS.split()[1:]], cwd=PROCESSES[0].folder)
    if not re.search(r"(?m)^durable +yes$", status):
        raise Failed(f"status: {status}")
    PROCESSES[0].do("domain", "create", "billing")
    domain = re.search(r"[0-9a-f-]{36}", PROCESSES[1].do("domain", "list"))[0]
    PROCESSES[0].do("cert", "issue", "--domain", domain, "--out", WORK / "client")
    told("the lines of docs/ENGINES.md")

    ledger = Ledger(WORK, domain, [process.port for process in PROCESSES])
    ledger.begin()
    ledger.goes_on()
    time.sleep(2)

    change(ledger, "switchover", lambda _: patronictl(*switch))
    soon("all follow the new one", 60, is_whole)

    change(ledger, "the primary was killed", lambda primary: primary.kill())
    next(member for member in MEMBERS if member.patroni.poll() is not None).start()
    soon("the one that was killed follows", 60, is_whole)

    # Its PostgreSQL lives and is connected, and another one is the primary.
    passed_over = who_leads(MEMBERS)
    change(ledger, "the primary's patroni alone was killed", lambda primary: primary.patroni.kill())
    if passed_over.sql("select pg_is_in_recovery()") != "f\n":
        raise Failed("the one that was passed over takes no writes any more")
    passed_over.patroni.wait()
    passed_over.start()
    ledger.goes_on()
    soon("the one that was passed over follows", 60, is_whole)

    def without_etcd(_):
        store.send_signal(signal.SIGSTOP)
        soon("nobody leads without etcd", 40, lambda: not any(member.leads() for member in MEMBERS))
        store.send_signal(signal.SIGCONT)
    change(ledger, "etcd was away until the primary stepped down", without_etcd, is_same=True)

    faults = ledger.end()
    figure(f"{sum(ledger.counted) + len(ledger.there)} writes acknowledged, {sum(ledger.maybe) + len(ledger.unknown)} unknown, "
           f"{len(ledger.absent)} of the new ones refused, {ledger.reads} reads, {ledger.unread} refused")
    for why, count in sorted(ledger.refusals.items()):
        print(f"         {count} times {why}")
    if faults:
        raise Failed("\n".join(faults[:20]))
    told("what was acknowledged is there, what was refused is not, the counters are exact, and nobody was shown the past")


def finish():
    for process in PROCESSES:
        if process.process is not None:
            process.process.terminate()
    for member in MEMBERS:
        if member.patroni is not None:
            member.kill()
    for process in PROCESSES:
        if process.process is not None:
            try:
                process.process.wait(20)
            except subprocess.TimeoutExpired:
                process.process.kill()
    for one in BESIDE:
        one.send_signal(signal.SIGCONT)
        one.kill()
        one.wait()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if AS:
        WORK.chmod(0o711)
    began = time.monotonic()
    try:
        main()
    except (Failed, OSError, subprocess.SubprocessError) as error:
        for log in sorted(WORK.glob("*.log")):
            print(f"--- {log.name}", *log.read_text().splitlines()[-15:], sep="\n", file=sys.stderr)
        sys.exit(f"FAILED   {error}")
    finally:
        finish()
    told(f"after {time.monotonic() - began:.0f} s")
