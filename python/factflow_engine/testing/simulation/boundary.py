"""Boundary of the simulation: what is replaced in a simulated run, and what escapes.

Data that the page "Determinism" shows and tests compare: with the fields of `Seams`, with the names that lint bans, and with
the modules that may use them all the same. A new seam or a new exception without an entry here fails. Kept separate from
what replaces the seams, because it is about all of it.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Replaced(NamedTuple):
    """A source of differences that a simulated run replaces.

    Attributes:
        production: What it is in production.
        simulated: What it is in a simulated run.
    """

    production: str
    simulated: str


class Escape(NamedTuple):
    """A source of differences that nothing replaces, in adapters and functions.

    Attributes:
        examples: What it looks like.
        remedy: What to do about it.
    """

    examples: str
    remedy: str


SEAMS: Final[Mapping[str, Replaced]] = {
    "clock": Replaced(
        "the machine's clocks", "virtual time; a wall clock that begins in 2023, and may be wrong by a fault"
    ),
    "randomness": Replaced("the system's entropy", "a generator from seed, process and life"),
    "ids": Replaced("time and entropy", "time, process, life and a count"),
    "threads": Replaced("trio's worker threads", "the call itself, inline, after up to 10 ms"),
    "processes": Replaced("worker processes", "none: their work is done inline, as that of threads"),
    "calls": Replaced("the record of calls for the home", "none"),
    "store_threads": Replaced("threads of a store", "the call itself, inline"),
    "machine_instant": Replaced("boot and monotonic clock of the machine", "virtual time, the same for all processes"),
    "hooks": Replaced("none", "what the trace shows of breakers and rows"),
    "around_call": Replaced("none, or a recording of calls", "models, changes and faults of stages"),
}
"""Fields of `Seams`, in their order."""

REPLACED: Final[Mapping[str, Replaced]] = {
    "order of tasks": Replaced("trio's own generator", "drawn from the seed, decision by decision"),
    "waiting": Replaced("time passes", "time jumps, when every task waits"),
    "queues": Replaced("`sqlite://` and others", "those of the run, whatever the configuration says"),
    "object stores, lineage": Replaced(
        "what the configuration names", "an object store of the run; lineage goes to the trace"
    ),
    "breakers, limits, retries": Replaced("the engine's own", "the engine's own, on virtual time"),
    "processes that die": Replaced(
        "signals, power", "tasks that are never scheduled again; unsynced sectors that are lost"
    ),
    "garbage collection": Replaced("at any time", "none during a run"),
    "warnings and errors of the engine": Replaced("logging", "the trace"),
}
"""Whatever else a simulated run replaces."""

ESCAPES: Final[Mapping[str, Escape]] = {
    "time": Escape("`time.time()`, `datetime.now()`", "`trio.current_time()`; a date in the message"),
    "chance": Escape(
        "`random`, `uuid4()`, `secrets`", "`random.Random(context.message_id)`; derive ids from `message_id`"
    ),
    "threads and processes": Escape("`threading`, `subprocess`", "`def process`, which the engine runs in its threads"),
    "sockets": Escape("HTTP clients, databases", "`Replace`, `StageModel(process=)`, or a client that is a fake"),
    "files": Escape("`open()`, folders, real disks", "a folder for each run; `Replace` for what is written"),
    "global state": Escape(
        "module variables, caches, class attributes", "attributes of the instance; reset it between runs"
    ),
    "sets of texts": Escape("`for tag in set(tags)`, `hash(text)`", "`sorted(...)`, `dict.fromkeys(...)`, `hashlib`"),
    "addresses": Escape("`id(x)`, `repr` of an object", "a name or number of your own"),
    "finalizers": Escape("`__del__`, `weakref`", "`close` of a `StatefulAdapter`, `with`"),
    "native code": Escape("extensions with threads or clocks", "`Replace`, as for sockets"),
    "the environment": Escape("`os.environ`, locale, time zone", "fields of the adapter's configuration"),
    "versions": Escape(
        "another Python, trio, engine or library", "the same lock file; the reproducing line names the engine"
    ),
}
"""Sources of differences that nothing replaces."""

BANNED: Final[Mapping[str, str]] = {
    "time": "clock",
    "datetime.datetime.now": "clock",
    "datetime.datetime.utcnow": "clock",
    "datetime.date.today": "clock",
    "random": "randomness",
    "secrets": "randomness",
    "os.urandom": "randomness",
    "tempfile.mkdtemp": "randomness",
    "tempfile.mkstemp": "randomness",
    "tempfile.NamedTemporaryFile": "randomness",
    "tempfile.TemporaryDirectory": "randomness",
    "uuid": "ids",
    "threading": "threads",
    "concurrent.futures": "threads",
    "multiprocessing": "threads",
    "trio.to_thread": "threads",
    "trio.lowlevel.open_process": "processes",
}
"""Names that lint bans in the engine because a seam stands in their place, and that seam."""

OTHERWISE_BANNED: Final = frozenset({"asyncio", "factflow_engine._native"})
"""Names that lint bans for other reasons."""

EXCEPTIONS: Final[Mapping[str, str]] = {
    "factflow_engine/seams.py": "the real seams",
    "factflow_engine/native.py": "imports the compiled module, for all others",
    "factflow_engine/runtime/stages/worker_main.py": "program of a worker process; a simulated run has none",
    "factflow_engine/testing/virtual_time.py": "the simulated seams: generators with a seed",
    "factflow_engine/testing/schedule.py": "the schedule: a generator with a seed",
    "factflow_engine/testing/simulation/many.py": "forks processes that each make runs of their own",
    "factflow_engine/testing/simulation/outside_waits.py": "notices the threads of others, and starts none",
    "factflow_engine/testing/simulation/worlds.py": "names a run's folder, which is kept out of the trace",
    "factflow_engine/testing/adapter_runs.py": "names a folder for one adapter; not of a simulated run",
}
"""Modules that use a banned name all the same, and why no simulated run differs by it."""
