"""Runs the attacks one after another, and prints what they did to the server."""

import os
import sys

import attacks  # noqa: F401 (enters all attacks into the list)
import server
import trial

HEAD = ["", "attack", "p50 ms", "p99 ms", "connect ms", "livez ms", "stall ms", "RSS MiB", "CPU s"]


def main(words):
    chosen = [a for a in trial.ATTACKS if not words or any(word in a.name for word in words)]
    if words == ["--list"]:
        print("\n".join(a.name for a in trial.ATTACKS))
        return 0
    if not chosen:
        print("no attack has such a name; --list shows them", file=sys.stderr)
        return 1
    outcomes = []
    region = server.Region()
    try:
        for attack in chosen:
            outcomes.append(tried(attack, region))
    finally:
        region.remove()
    table(outcomes)
    failed = sum(bool(outcome.failures) for outcome in outcomes)
    print(f"\n{len(outcomes) - failed} passed, {failed} failed")
    return 1 if failed else 0


TRIES = 3


def tried(attack, region):
    """More tries decide where the machine may have been busy with something else: what harms, harms each time."""
    for attempt in range(1, TRIES + 1):
        try:
            outcome = trial.run(attack, region)
        except RuntimeError as error:
            outcome = trial.Outcome(attack.name, [""] * (len(HEAD) - 2), [], [str(error)], False)
        is_over = attempt == TRIES or not outcome.only_slow
        told = "ok" if not outcome.failures else "FAILED" if is_over else "again"
        print(f"{told:<8} {attack.name}: {'; '.join(outcome.failures or outcome.notes)}", flush=True)
        if told != "again":
            break
    return outcome


def table(outcomes):
    rows = [HEAD] + [["FAILED" if o.failures else "ok", o.name, *o.figures] for o in outcomes]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEAD))]
    print()
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


if __name__ == "__main__":
    os.chdir("/")
    sys.exit(main(sys.argv[1:]))
