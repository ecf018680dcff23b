"""The composition root: makes the objects that work together, and hands them out as one.

The only place that chooses implementations; everything below is given what it needs.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from factflow_engine.adapters import (
    AdapterDiscovery,
    DiscoveryProblem,
    DiscoveryReport,
    ValidatingAdapterRegistry,
    auto_discover_and_register,
)
from factflow_engine.config import PipelineConfigLoader
from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.queues.sqlite import SqliteQueue
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_protocols import FactflowError, QueueProtocol


class AdapterModuleError(FactflowError):
    """The operator must act: a module that was named for its adapters has none that can be used.

    Attributes:
        module: The module or file, as it was named.
    """

    def __init__(self, module: str, problem: str) -> None:
        self.module = module
        super().__init__(f"adapters of {module!r}: {problem}")


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One engine, ready to load and to run configurations.

    Attributes:
        registry: The adapter types that it knows.
        loader: Reads configurations against these types.
        problems: Installed plug-ins that could not be used; to be told, not fatal.
    """

    registry: ValidatingAdapterRegistry
    loader: PipelineConfigLoader
    problems: tuple[DiscoveryProblem, ...]

    @asynccontextmanager
    async def manager(self, queue: QueueProtocol | None = None) -> AsyncIterator[OrchestratorManager]:
        """A manager of executions; on a provider if one is given, which is stopped in the end."""
        try:
            async with OrchestratorManager(registry=self.registry, queue=queue) as manager:
                yield manager
        finally:
            if queue is not None:
                await queue.stop()


def open_queue(url: str, *, directory: Path | None = None) -> QueueProtocol:
    """The provider that a URL names: `memory://`, or `sqlite:///path` with its options. Nothing is opened yet.

    Args:
        url: See `SqliteSettings.from_url`.
        directory: What relative paths are relative to; the working directory by default.

    Raises:
        QueueUrlError: There is no such provider, or its URL cannot be read.
    """
    return MemoryQueue() if url == "memory://" else SqliteQueue.from_url(url, directory=directory)


def is_durable(url: str | None) -> bool:
    """True if messages of a queue with this URL outlive the process; None stands for the default, in memory."""
    return url is not None and url != "memory://"


def build_app(*, adapters: Iterable[str] = (), durable: bool = False) -> App:
    """Put an engine together: built-in adapters, installed plug-ins, and the modules named.

    Args:
        adapters: Dotted module names, or paths of Python files, whose marked classes are registered. Importing them
            runs their code.
        durable: True if configurations are to run on a queue that outlives the process; see `PipelineConfigLoader`.

    Raises:
        AdapterModuleError: A module named cannot be imported, or holds no adapter that can be registered.
    """
    registry = ValidatingAdapterRegistry()
    problems = auto_discover_and_register(registry).problems
    for module in dict.fromkeys(adapters):
        _register_named(registry, module)
    return App(registry=registry, loader=PipelineConfigLoader(registry, durable=durable), problems=problems)


def _register_named(registry: ValidatingAdapterRegistry, module: str) -> None:
    """Register what someone asked for by name: here, other than for plug-ins at large, every problem is an error."""
    report = _search(AdapterDiscovery(registry), module)
    if report.problems:
        raise AdapterModuleError(module, "; ".join(f"{problem.source}: {problem.error}" for problem in report.problems))
    if not report.registered:
        raise AdapterModuleError(
            module,
            "no adapter found; mark each adapter class of the module with "
            '`adapter_type: ClassVar[str] = "its_name"` in the class body',
        )


def _search(discovery: AdapterDiscovery, module: str) -> DiscoveryReport:
    path = Path(module)
    if path.suffix != ".py" and not path.is_file():
        return discovery.scan(module)
    if not path.is_file():
        raise AdapterModuleError(module, "there is no such file; give the path of a Python file, or a module's name")
    return discovery.from_file(path)
