"""SIGINT at random instants of a real, flooded process: whatever was accepted is done, or waits where it was."""

import json
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import support.flooded_program as program_module

PROGRAM = Path(program_module.__file__)
LONGEST_SECONDS = 0.02  # a round of the flood carries hundreds of messages in that time


def interrupt_rounds(how, rounds, seed):
    """Run the program, interrupt each of its rounds once, and return the rounds' counters.

    The wait before each signal is real: it is the experiment, not a way to let something settle.
    """
    instants = random.Random(seed)
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(PROGRAM), how, str(rounds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    counters = []
    try:
        for _ in range(rounds):
            line = process.stdout.readline()
            assert line == "ready\n", line + process.stderr.read()
            time.sleep(instants.uniform(0, LONGEST_SECONDS))
            process.send_signal(signal.SIGINT)
            line = process.stdout.readline()
            assert line.startswith("{"), line + process.stderr.read()
            counters.append(json.loads(line))
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, ""), "no task died, nothing was said"
    finally:
        process.kill()
        process.communicate()
    return counters


def assert_nothing_lost(how, book):
    routes = book["routes"]
    assert book["status"] in ("completed", "cancelled"), "there is a report"
    assert all(route["in_flight"] == route["failed"] == 0 for route in routes.values())
    a, b, c, sink = (routes[name] for name in ("a", "b", "c", "sink"))
    accepted, published = len(book["accepted"]), a["completed"] + a["waiting"]
    # A publish that was interrupted may have happened; one that returned has.
    assert accepted <= published <= accepted + book["publishers"]
    assert a["emitted"] == a["completed"] == b["completed"] + b["waiting"]
    # Of `c`, children count too: each that completed was emitted, what remains are the parents that are done with.
    assert b["emitted"] == b["completed"] == c["completed"] - c["emitted"] + c["waiting"]
    assert c["emitted"] >= 2 * (c["completed"] - c["emitted"]), "who is done with has both children"
    assert c["emitted"] == sink["filtered"] + sink["waiting"]
    seen = {tuple(message) for message in book["seen"]}
    assert len(book["seen"]) >= sink["filtered"]
    if book["status"] == "completed":
        assert all(route["waiting"] == 0 for route in routes.values())
        assert len(book["seen"]) == len(seen), "and nothing twice"
        assert seen >= {(number, child) for number in book["accepted"] for child in range(2)}
        assert len(seen) == 2 * published
    if how == "drain" and not book["interrupted"]:
        assert book["status"] == "completed"


def check(how, rounds, seed):
    counters = interrupt_rounds(how, rounds, seed)
    for book in counters:
        assert_nothing_lost(how, book)
    return counters


@pytest.mark.parametrize("how", ["leave", "drain", "complete"])
def test_an_interrupted_program_loses_nothing(how):
    counters = check(how, 4, seed=1)
    assert sum(len(book["accepted"]) for book in counters), "it was flooded"
    drained = [book["status"] == "completed" for book in counters]
    assert all(drained) if how == "drain" else not any(drained)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["leave", "drain", "complete"])
def test_hundreds_of_interrupts_lose_nothing(how):
    with ThreadPoolExecutor(2) as pool:
        rounds = [
            book for counters in pool.map(lambda seed: check(how, 25, seed), range(100, 120)) for book in counters
        ]
    assert len(rounds) == 500
    assert sum(len(book["accepted"]) for book in rounds) > 10_000
