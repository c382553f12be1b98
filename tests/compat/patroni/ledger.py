"""Clients who write and read through several okmsd, and what they were told."""

import http.client
import json
import socket
import ssl
import threading
import time

COUNTERS = 4
# Between two requests of a client, so that the machine is loaded and not overrun.
PAUSE = 0.004


class Client:
    """One connection to one okmsd, as the domain; it is made anew where it has ended."""

    def __init__(self, tls, port, domain):
        self.tls, self.port, self.base = tls, port, f"/api/{domain}/v2/secret"
        self.connection = None

    def call(self, method, path, body=None):
        """The status and the body; None for a status where nobody knows what became of the request."""
        try:
            if self.connection is None:
                self.connection = http.client.HTTPSConnection("localhost", self.port, context=self.tls, timeout=30)
                self.connection.connect()
                self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connection.request(method, self.base + path, body and json.dumps(body))
            answer = self.connection.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        except (OSError, http.client.HTTPException) as error:
            if self.connection is not None:
                self.connection.close()
            self.connection = None
            return None, {"errors": [repr(error)]}


class Ledger:
    def __init__(self, folder, domain, ports):
        self.tls = ssl.create_default_context(cafile=folder / "one" / "region_ca.pem")
        client = folder / "client"
        self.tls.load_cert_chain(client / f"{domain}_certificate.pem", client / f"{domain}_privatekey.pem")
        self.domain, self.ports = domain, ports
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        self.faults, self.refusals = [], {}
        # Of each counter: the highest value that was acknowledged, and how many writes were; how many may have happened.
        self.highest, self.counted, self.maybe = [0] * COUNTERS, [0] * COUNTERS, [0] * COUNTERS
        self.there, self.absent, self.unknown = [], [], []
        self.reads, self.unread = 0, 0
        # When writes were acknowledged, and by which process.
        self.acknowledged = []
        self.threads = []

    def client(self, process):
        return Client(self.tls, self.ports[process], self.domain)

    def fault(self, what):
        with self.lock:
            self.faults.append(what)

    def begin(self):
        first = self.client(0)
        for counter in range(COUNTERS):
            status, told = first.call("POST", "", {"path": f"count/{counter}", "version": {"data": {"n": 0}}})
            assert status == 200, told
        for process in range(len(self.ports)):
            for task in (self.count, self.count, self.fill, self.look):
                number = len(self.threads)
                self.threads.append(threading.Thread(target=self.guarded, args=(task, process, number), daemon=True))
        for thread in self.threads:
            thread.start()

    def guarded(self, task, process, number):
        try:
            task(process, number)
        except Exception as error:  # pylint: disable=broad-except
            self.fault(f"{task.__name__} {number}: {error!r}")

    def value(self, client, counter):
        """Version and value of a counter, which must not be older than what was acknowledged before it was asked for."""
        least = self.highest[counter]
        status, told = client.call("GET", f"/count/{counter}?includeData=true")
        if status != 200:
            with self.lock:
                self.unread += 1
            if status not in (None, 503):
                self.fault(f"a read is answered {status}: {told}")
            return None
        version = told["version"]
        with self.lock:
            self.reads += 1
        if version["data"]["n"] < least:
            self.fault(f"the past is shown: {version['data']['n']} of counter {counter}, acknowledged was {least}")
        return version["id"], version["data"]["n"]

    def written(self, client, status, told):
        """Whether a write happened: True, False, or None where nobody knows."""
        if status == 200:
            with self.lock:
                self.acknowledged.append((time.monotonic(), client.port))
            return True
        why = "; ".join(told.get("errors", []))
        with self.lock:
            self.refusals[f"{status} {why}"] = self.refusals.get(f"{status} {why}", 0) + 1
        return None if status is None or "may have happened" in why else False

    def count(self, process, number):
        """Adds one to the counters again and again, as somebody does who has read them."""
        client, turn = self.client(process), number
        while not self.is_over.wait(PAUSE):
            turn += 1
            counter = turn % COUNTERS
            found = self.value(client, counter)
            if found is None:
                continue
            version, value = found
            status, told = client.call("PUT", f"/count/{counter}?cas={version}", {"version": {"data": {"n": value + 1}}})
            if status == 400:
                continue
            happened = self.written(client, status, told)
            with self.lock:
                self.counted[counter] += happened is True
                self.maybe[counter] += happened is None
                if happened:
                    self.highest[counter] = max(self.highest[counter], value + 1)

    def fill(self, process, number):
        """Writes one secret after the other; what was acknowledged is looked for at another process at once."""
        client, turn = self.client(process), 0
        others = [self.client(other) for other in range(len(self.ports)) if other != process]
        while not self.is_over.wait(PAUSE):
            turn += 1
            path = f"fill/{number}-{turn}"
            happened = self.written(client, *client.call("POST", "", {"path": path, "version": {"data": {"n": turn}}}))
            with self.lock:
                {True: self.there, False: self.absent, None: self.unknown}[happened].append(path)
            if happened:
                status, told = others[turn % len(others)].call("GET", f"/{path}?includeData=true")
                if status not in (None, 200, 503):
                    self.fault(f"{path} was acknowledged by one, and another one says {status}: {told}")

    def look(self, process, number):
        """Reads all the time."""
        client, turn = self.client(process), number
        while not self.is_over.wait(PAUSE):
            turn += 1
            self.value(client, turn % COUNTERS)

    def goes_on(self, patience=60):
        """Waits until all processes have acknowledged writes that were begun after this."""
        began = time.monotonic()
        while time.monotonic() < began + patience:
            with self.lock:
                if self.faults:
                    return
                recent = [port for at, port in self.acknowledged[-400:] if at > began]
            if all(recent.count(port) >= 10 for port in self.ports):
                return
            time.sleep(0.05)
        self.fault(f"writes did not go on within {patience} s")

    def gap(self, since):
        """The longest time since then in which nobody's write was acknowledged, and when it ended."""
        with self.lock:
            times = [since] + [at for at, _ in self.acknowledged if at > since]
        return max(((later - before, later) for before, later in zip(times, times[1:])), default=(0.0, since))

    def end(self):
        """Looks at everything once more, at each process."""
        self.is_over.set()
        for thread in self.threads:
            thread.join(60)
        clients = [self.client(process) for process in range(len(self.ports))]
        for counter in range(COUNTERS):
            for client in clients:
                status, told = client.call("GET", f"/count/{counter}?includeData=true")
                value = told["version"]["data"]["n"] if status == 200 else -1
                counted, maybe = self.counted[counter], self.maybe[counter]
                if not counted <= value <= counted + maybe or value < self.highest[counter]:
                    self.faults.append(f"counter {counter} is {value}; {counted} were acknowledged, {maybe} more may have happened")
        for paths, expected in ((self.there, 200), (self.absent, 404)):
            for turn, path in enumerate(paths):
                status, told = clients[turn % len(clients)].call("GET", f"/{path}?includeData=true")
                if status != expected:
                    self.faults.append(f"{path} has to be answered {expected}, and was {status}: {told}")
        return self.faults
