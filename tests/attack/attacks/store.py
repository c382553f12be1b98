"""What a tenant can leave behind: in the store, and in memory."""

import json
import threading
import time

import http1
import net
from attacks.tenant import reads, work, writes
from trial import MIB, attack

SECONDS = 10
GROWTH = 128


def keep(address, how, headers, path, body, connections):
    """Stores the same again and again; gives back how often each status was the answer."""
    answers, end = [], time.monotonic() + SECONDS

    def one():
        try:
            connection = net.tls(address, how)
            while time.monotonic() < end and answers.count(200) < 1000:
                status, _ = http1.call(connection, "POST", path, body, headers)
                answers.append(status)
                if status != 200:
                    time.sleep(0.05)
        except OSError as error:
            answers.append(str(error))

    threads = [threading.Thread(target=one) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield {str(answer): answers.count(answer) for answer in answers}


@attack("a store full of wrapped responses", rss=384, extra=("write",))
def wrapping(trial):
    """500 KB for 768 hours each, from one connection: the store grew without bound."""
    before = trial.region.store_bytes()
    body = json.dumps({"v": "x" * 500_000}).encode()
    how = net.context(trial.region.loud, "http/1.1")
    attacker = trial.start(
        keep, trial.address, how, ["X-Vault-Wrap-TTL: 768h"], "/v1/sys/wrapping/wrap", body, 8)
    answers = attacker.result()
    trial.note(f"{answers}")
    trial.check("nothing was kept", "200" in answers)
    trial.hold("the store grew by", (trial.region.store_bytes() - before) // MIB, GROWTH, " MiB")


# What may stay of a burst, over what was resident before; caches are small in that server.
STAYS = 96
BACK_WITHIN = 30


@attack("a burst, then nothing", rss=768,
        settings={"STORE__CACHE": "16MiB", "STORE__RECORD_CACHE": "8MiB"})
def burst(trial):
    """388-675 MiB stayed resident until the next start."""
    before, how = trial.server.rss(), net.context(trial.region.loud)
    for requests in writes(512_000), reads("/v1/secret/data/w/1"):
        attackers = [trial.start(work, trial.address, how, 2, requests, 4) for _ in range(2)]
        for attacker in attackers:
            attacker.result()
    for attacker in trial.attackers:
        attacker.end()
    began, peak = time.monotonic(), trial.server.rss()
    while (stays := trial.server.rss() - before) > STAYS * MIB and time.monotonic() < began + BACK_WITHIN:
        time.sleep(0.2)
    trial.note(f"{peak // MIB} MiB at its end, after {time.monotonic() - began:.1f} s")
    trial.hold("there stay", stays // MIB, STAYS, " MiB")
