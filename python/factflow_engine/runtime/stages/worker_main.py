"""Program of a worker process: makes one adapter and answers requests one after the other.

Kept separate from `worker`, the engine's end, because this end is imported in another process and must not import the
engine's loop. Signals for the program that also reach this process are ignored: Ctrl-C and SIGTERM drain the program,
and messages in worker processes should end meanwhile.
"""

import contextlib
import importlib
import importlib.util
import os
import pickle
import select
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

from factflow_engine.adapters.registry import ValidatingAdapterRegistry
from factflow_engine.runtime.stages.crossing import answer, pack_error
from factflow_protocols import PipelineAdapter, StageInfo

LENGTH: Final = struct.Struct("<Q")
"""Header of a request or an answer: its length in bytes."""

READY: Final = b"!"
"""Answer to the first request if the adapter could be made; otherwise the answer is an error."""

_ORPHAN_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class ClassPlace:
    """Place from which a class can be imported.

    Attributes:
        module: Name of the module in the program.
        file: File of the module, which may not be importable by name.
        qualname: Name of the class in the module.
    """

    module: str
    file: str
    qualname: str

    @classmethod
    def of(cls, known: type) -> "ClassPlace":
        """Return the place of a class that `adapters.isolation` found importable."""
        return cls(known.__module__, str(sys.modules[known.__module__].__file__), known.__qualname__)

    def load(self) -> Any:
        """Import the module and return the class."""
        found: Any = _module(self.module, self.file)
        for part in self.qualname.split("."):
            found = getattr(found, part)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The first request.

    Attributes:
        type: The adapter's type, for errors.
        adapter: Class of the adapter.
        model: Model of its configuration, if it was registered with another one than its own.
        config: The stage's configuration, as written.
        info: Execution, route and name of the stage.
    """

    type: str
    adapter: ClassPlace
    model: ClassPlace | None
    config: dict[str, Any]
    info: StageInfo

    def make(self) -> PipelineAdapter:
        """Make the adapter.

        Output of its module during the import is dropped: the program that imported it has printed it.
        """
        with (
            Path(os.devnull).open("w", encoding="utf-8") as nothing,
            contextlib.redirect_stdout(nothing),
            contextlib.redirect_stderr(nothing),
        ):
            cls = self.adapter.load()
            model = None if self.model is None else self.model.load()
        registry = ValidatingAdapterRegistry.empty()
        registry.register(self.type, cls, config_model=model)
        return registry.create(self.type, self.config)


def main(fd: int, parent: int) -> None:
    """Serve the process with this id over a socket, until it closes the socket or dies."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # No SIG_IGN: programs that the adapter starts would inherit that, and could not be terminated.
        signal.signal(number, lambda *_: None)
    os.set_inheritable(fd, False)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # what is printed is not lost when this is killed
    threading.Thread(target=_end_with, args=(fd, parent), daemon=True).start()
    request = _receive(fd)
    if request is None:
        return
    try:
        start: Start = pickle.loads(request)  # noqa: S301 - of the program that started this one
        adapter = start.make()
    except Exception as error:  # noqa: BLE001 - raised where the stage is opened
        _send(fd, pack_error(error))
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # of the socket; those of the adapter are answers
        _send(fd, READY)
        while (request := _receive(fd)) is not None:
            _send(fd, answer(adapter, start.info, request))
    if _has_hung_up(fd):
        _end_all()


def _has_hung_up(fd: int) -> bool:
    """True if the program has closed the socket, as its death does; one that lets this process exit only shuts it down."""
    poll = select.poll()
    poll.register(fd, 0)  # no event is requested but the hang-up, which is always reported
    return any(event & select.POLLHUP for _, event in poll.poll(0))


def _end_with(fd: int, parent: int) -> None:
    """Wait until the program has died, then end, whatever this process is doing."""
    poll = select.poll()
    poll.register(fd, 0)  # no event is requested but the hang-up, which is always reported
    while os.getppid() == parent:
        if poll.poll(1_000):
            time.sleep(_ORPHAN_POLL_SECONDS)
    _end_all()


def _end_all() -> None:
    """Kill this process and its children: it leads a session of its own."""
    os.killpg(0, signal.SIGKILL)


def _receive(fd: int) -> bytes | None:
    """Return the next request; None if there will be none."""
    head = _read(fd, LENGTH.size)
    return None if head is None else _read(fd, LENGTH.unpack(head)[0])


def _read(fd: int, size: int) -> bytes | None:
    parts = []
    while size:
        part = os.read(fd, min(size, 1 << 20))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _send(fd: int, data: bytes) -> None:
    left = memoryview(LENGTH.pack(len(data)) + data)
    while left:
        left = left[os.write(fd, left) :]


def _module(name: str, file: str) -> ModuleType:
    """Import a module by its name if that leads to this file, else from the file under that name."""
    if name not in sys.modules:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            spec = None
        origin = None if spec is None else spec.origin
        if origin is None or not Path(origin).exists() or not Path(origin).samefile(file):
            return _load(name, file)
    return importlib.import_module(name)


def _load(name: str, file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"module {name} cannot be imported from {file}", name=name, path=file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    cast("Callable[[ModuleType], None]", spec.loader.exec_module)(module)
    return module
