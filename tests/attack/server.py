"""The server under attack: a folder with two domains, made once, and processes that serve it.

Every attack gets a process of its own, so that no figure carries what another attack left behind. A process is ended
by its own id.
"""

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pki
from net import Holder

BINARY = os.environ["OKMSD"]
PATIENCE = 15


class Region:
    """The folder of `okmsd dev` with a second domain, and an authority of the first one's own: `loud` attacks, `quiet`
    is attacked."""

    def __init__(self):
        self.work = Path(tempfile.mkdtemp(prefix="okmsd-attack-"))
        self.folder = self.work / "dev"
        try:
            with Server(self) as server:
                text = (self.folder / "env.sh").read_text()
                self.ca = str(self.folder / "region_ca.pem")
                self.loud = self._holder(self.folder, re.search(r"OKMS_ID='([^']+)'", text).group(1))
                client = ["--dir", str(self.folder), "--endpoint", f"https://127.0.0.1:{server.port}"]
                name = self._okmsd("domain", "create", "quiet", *client).strip()
                self._okmsd("cert", "issue", "--domain", name, *client, "--out", str(self.work / "quiet"))
                self.quiet = self._holder(self.work / "quiet", name)
            self._trust_customer()
        except BaseException:
            self.remove()
            raise

    def _trust_customer(self):
        self.customer_key = pki.key()
        self.customer = pki.authority("a customer's authority", self.customer_key)
        path = pki.save(self.work, "customer", [self.customer], self.customer_key).certificate
        with open(self.folder / "okmsd.toml", "a") as config:
            config.write(f'\n[[trust.customer_ca]]\ncertificate = "{path}"\ndomain = "{self.loud.domain}"\n')

    def store_bytes(self):
        return (self.folder / "okmsd.redb").stat().st_size

    def remove(self):
        if os.environ.get("KEEP") == "1":
            print(f"kept: {self.work}")
        else:
            shutil.rmtree(self.work, ignore_errors=True)

    @staticmethod
    def _holder(folder, name):
        return Holder(str(folder / f"{name}_certificate.pem"), str(folder / f"{name}_privatekey.pem"), name)

    @staticmethod
    def _okmsd(*arguments):
        done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode != 0:
            raise RuntimeError(f"okmsd {' '.join(arguments[:2])}: {done.stderr}")
        return done.stdout


class Server:
    """One process, from its readiness to its end."""

    def __init__(self, region, settings=None, files=None):
        """`settings` are keys of the config as the environment has them; `files` the limits of descriptors, soft and
        hard."""
        self.region, self.settings, self.files = region, settings or {}, files
        # Whether it had to be killed.
        self.overdue = False

    def __enter__(self):
        self.port, self.admin = free_ports(2)
        self.address = ("127.0.0.1", self.port)
        self.log = self.region.work / "server.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OKMSD_")}
        environment["OKMSD_LIMITS__DRAIN_TIME"] = "500ms"
        # All attackers have one address, and are to get to what they attack.
        environment["OKMSD_LIMITS__ADDRESS_HANDSHAKES_PER_SECOND"] = "0"
        environment["OKMSD_LIMITS__HANDSHAKES_PER_SECOND"] = "0"
        environment.update({f"OKMSD_{key}": str(value) for key, value in self.settings.items()})
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [BINARY, "dev", "--dir", str(self.region.folder), "--listen", f"127.0.0.1:{self.port}",
                 "--admin-listen", f"127.0.0.1:{self.admin}"],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=self._prepare)
        self.pid = self.process.pid
        end = time.monotonic() + PATIENCE
        while not (admin_status(self.admin, "/readyz") == 200 and (self.region.folder / "env.sh").exists()):
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise RuntimeError(f"okmsd did not start:\n{self.log_end()}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.overdue = True
            self.process.kill()
            self.process.wait()

    def is_running(self):
        return self.process.poll() is None

    def log_bytes(self):
        return self.log.stat().st_size

    def log_end(self):
        return self.log.read_bytes()[-2000:].decode(errors="replace")

    def rss(self):
        """Resident bytes; 0 once the process is gone."""
        return resident(self.pid)

    def most_rss(self):
        """The most bytes that were ever resident; 0 once the process is gone."""
        return most_resident(self.pid)

    def sockets(self):
        """How many descriptors the process has open: what it holds of peers, whatever they have been told."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu(self):
        """Seconds of processor time so far, those of threads that ended included."""
        return processor(self.pid)

    def _prepare(self):
        hurry(-10)
        if self.files:
            resource.setrlimit(resource.RLIMIT_NOFILE, self.files)


def hurry(niceness):
    """Goes before the attackers, and before whatever else runs on this machine, where that is allowed: figures should
    tell of the server."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
    except OSError:
        pass


def resident(pid):
    try:
        with open(f"/proc/{pid}/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except (FileNotFoundError, ProcessLookupError):
        return 0


def most_resident(pid):
    try:
        with open(f"/proc/{pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    except (FileNotFoundError, ProcessLookupError, StopIteration):
        return 0


def processor(pid):
    try:
        # What clock_getcpuclockid(3) makes of a pid.
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def free_ports(number):
    """Ports that nobody listens on, below those that the kernel gives to connections."""
    sockets = []
    for _ in range(number):
        for port in range(20000 + int.from_bytes(os.urandom(2), "big") % 10000, 32000):
            try:
                listener = socket.socket()
                listener.bind(("127.0.0.1", port))
                sockets.append(listener)
                break
            except OSError:
                listener.close()
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def admin_status(port, path, timeout=5):
    """The status of a GET on the admin port, on a connection of its own as probes have it; None without an answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            answer = connection.recv(64)
            return int(answer[9:12])
    except (OSError, ValueError):
        return None
