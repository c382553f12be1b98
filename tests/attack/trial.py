"""One attack on one server: what is measured beside it, and what must hold.

For every attack: honest clients are answered (no 429, no reset), they wait at most ten times as long as they do without
the attack, /livez answers within 100 ms, resident memory stays below the attack's figure and the chart's limit, and the log stays small.
What the machine itself was late is allowed beside that. What else an attack must not achieve it holds to figures
itself.
"""

import os
import signal
import time
from dataclasses import dataclass, field

import server
import watch

MIB = 1 << 20
# How long honest clients are measured before.
IDLE = 1.0
# Below these nobody is slow: the machine is shared with the attackers, and with whatever else runs on it.
FLOORS = {"read": 0.050, "write": 0.200, "large": 0.400}
CONNECT_WORST = 1.5
LIVEZ_WORST = 0.100
# The memory that the Helm chart gives the server. With more it would be killed there.
CONTAINER = 768 * MIB
# No peer decides how much is written to the log.
LOG_BYTES = MIB
# An attacker that is not done by then is ended.
ATTACKER_LIFE = 60

ATTACKS = []


@dataclass
class Attack:
    """What an attack needs beside its function."""

    name: str
    function: callable
    rss: int
    settings: dict = field(default_factory=dict)
    files: tuple = None
    extra: tuple = ()
    prepare: callable = None


def attack(name, rss=64, **needs):
    """Enters a function into the list of attacks. `rss` is how many MiB resident memory may grow."""

    def enter(function):
        ATTACKS.append(Attack(name, function, rss, **needs))
        return function

    return enter


class Trial:
    """What a running attack can use, and where it says what it found."""

    def __init__(self, region, target):
        self.region, self.server, self.address = region, target, target.address
        self.failures, self.notes = [], []
        # Whether every failure is one that a busy machine can cause.
        self.only_slow = True
        self.attackers = []

    def fail(self, text):
        self.failures.append(text)
        self.only_slow = False

    def slow(self, text):
        self.failures.append(text)

    def note(self, text):
        self.notes.append(text)

    def detail(self, text):
        """A figure that is shown where VERBOSE=1 asks for it."""
        if os.environ.get("VERBOSE") == "1":
            print(f"         {text}", flush=True)

    def hold(self, what, figure, bound, unit=""):
        """Notes a figure that may not be above its bound."""
        shown = f"{what} {_short(figure)}{unit}"
        self.notes.append(shown)
        if not figure <= bound:
            self.fail(f"{shown} > {_short(bound)}{unit}")

    def check(self, what, holds):
        if not holds:
            self.fail(what)

    def start(self, function, *arguments):
        """Runs `function` in an attacker's process. What it yields comes with `.result()`, one after another. Whoever
        holds connections must not return: the process is ended when the attack is over."""
        attacker = Attacker(function, arguments)
        self.attackers.append(attacker)
        return attacker

    def end(self):
        for attacker in self.attackers:
            attacker.end()


class Attacker:
    """A process that attacks, and ends by itself."""

    def __init__(self, function, arguments):
        self.pipe, theirs = watch.FORK.Pipe()
        self.process = watch.FORK.Process(target=self._main, args=(theirs, function, arguments), daemon=True)
        self.process.start()
        theirs.close()

    @staticmethod
    def _main(pipe, function, arguments):
        signal.alarm(ATTACKER_LIFE)
        for found in function(*arguments):
            pipe.send(found)

    def result(self):
        try:
            return self.pipe.recv()
        except EOFError:
            raise RuntimeError("an attacker ended without a result") from None

    def end(self):
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


@dataclass
class Outcome:
    """A row of the table."""

    name: str
    figures: list
    notes: list
    failures: list
    only_slow: bool


def run(attack, region):
    with server.Server(region, attack.settings, attack.files) as target:
        trial = Trial(region, target)
        if attack.prepare:
            attack.prepare(trial)
        with watch.Watch(target, attack.extra) as honest:
            honest.begin()
            time.sleep(IDLE)
            idle, _ = honest.end()
            resident, processor, logged, began = target.rss(), target.cpu(), target.log_bytes(), time.monotonic()
            honest.begin()
            try:
                attack.function(trial)
            except (OSError, RuntimeError) as error:
                trial.fail(f"the attack itself failed: {type(error).__name__}: {error}")
            during, peak = honest.end()
            seconds = time.monotonic() - began
            used = target.cpu() - processor
            trial.end()
        stall = during["stall"]
        _judge(trial, attack, idle, during, peak - resident)
        for kind in attack.extra:
            trial.note(f"{kind} p99 {_ms(idle[kind].p99)} -> {_ms(during[kind].p99)} ms")
        if (logged := target.log_bytes() - logged) > LOG_BYTES:
            trial.fail(f"the log grew by {logged / MIB:.1f} MiB")
        if (most := target.most_rss()) > CONTAINER:
            trial.fail(f"resident memory reached {most // MIB} MiB > {CONTAINER // MIB} MiB, which is all that the chart gives it")
        trial.detail(f"resident memory reached {most // MIB} MiB")
        if not target.is_running():
            trial.fail(f"okmsd ended: {target.log_end()}")
        figures = [
            f"{_ms(idle['read'].p50)} -> {_ms(during['read'].p50)}",
            f"{_ms(idle['read'].p99)} -> {_ms(during['read'].p99)}",
            _ms(during["connect"].worst),
            _ms(during["livez"].worst),
            _ms(stall.worst),
            f"{resident // MIB} -> {peak // MIB}",
            f"{used:.1f} of {seconds:.1f}",
        ]
    trial.check("okmsd did not end after SIGTERM", not target.overdue)
    return Outcome(attack.name, figures, trial.notes, trial.failures, trial.only_slow)


def _judge(trial, attack, idle, during, growth):
    stall = during.pop("stall")
    for kind, series in during.items():
        if series.errors:
            trial.fail(f"honest {kind}: {len(series.errors)} failed, first {series.errors[0]}")
        if kind == "livez":
            what, figure, bound = "/livez took", series.worst, LIVEZ_WORST + stall.worst
        elif kind == "connect":
            what, figure, bound = "a new honest connection took", series.worst, CONNECT_WORST + stall.worst
        else:
            bound = max(10 * idle[kind].p99, FLOORS[kind]) + stall.p99
            what, figure = f"honest {kind}: p99", series.p99
        if figure > bound:
            trial.slow(f"{what} {_ms(figure)} ms > {_ms(bound)} ms")
    if growth > attack.rss * MIB:
        trial.fail(f"resident memory grew by {growth // MIB} MiB > {attack.rss} MiB")


def _ms(seconds):
    return f"{seconds * 1000:.1f}" if seconds < 0.1 else f"{seconds * 1000:.0f}"


def _short(figure):
    return f"{figure:.1f}" if isinstance(figure, float) else str(figure)
