"""Composition root: makes the objects of one engine and connects them.

The only module that chooses implementations; everything below is given its dependencies.
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
from factflow_engine.queues.naming import memory_queue_name_problem
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_protocols import FactflowError, QueueProtocol


class AdapterModuleError(FactflowError):
    """Unusable adapter module: the operator must act, because a named module has no adapter that can be used.

    Attributes:
        module: Name of the module or file, as given.
    """

    def __init__(self, module: str, problem: str) -> None:
        self.module = module
        super().__init__(f"adapters of {module!r}: {problem}")


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An engine that can load and run configurations.

    Attributes:
        registry: The registered adapter types.
        loader: Loader with this registry and the queue's naming rule.
        queue: Provider of the queues; None for one in memory for each manager.
        problems: Installed plug-ins that could not be used; reported, not fatal.
    """

    registry: ValidatingAdapterRegistry
    loader: PipelineConfigLoader
    queue: QueueProtocol | None
    problems: tuple[DiscoveryProblem, ...]

    @asynccontextmanager
    async def manager(self) -> AsyncIterator[OrchestratorManager]:
        """Open a manager of executions; stop the queue provider at the end, so that only one manager uses it."""
        try:
            async with OrchestratorManager(registry=self.registry, queue=self.queue) as manager:
                yield manager
        finally:
            if self.queue is not None:
                await self.queue.stop()


def build_app(*, adapters: Iterable[str] = (), queue: QueueProtocol | None = None, allow_loss: bool = False) -> App:
    """Build an engine: built-in adapters, installed plug-ins, the named modules, and a queue provider.

    Args:
        adapters: Dotted module names, or paths of Python files, whose marked classes are registered. Importing them
        runs their code.
        queue: Provider that configurations are checked for and run on, such as `open_queue` returns; by default one in
        memory.
        allow_loss: True to accept, on a provider that outlives the process, stages whose state does not.

    Raises:
        AdapterModuleError: A named module cannot be imported, or has no adapter that can be registered.
    """
    registry = ValidatingAdapterRegistry()
    problems = auto_discover_and_register(registry).problems
    for module in dict.fromkeys(adapters):
        _register_named(registry, module)
    loader = PipelineConfigLoader(
        registry,
        validate_queue_name=memory_queue_name_problem if queue is None else queue.validate_name,
        durable=queue is not None and queue.outlives_process and not allow_loss,
    )
    return App(registry=registry, loader=loader, queue=queue, problems=problems)


def _register_named(registry: ValidatingAdapterRegistry, module: str) -> None:
    """Register adapters that were asked for by name: unlike for other plug-ins, every problem is an error."""
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
