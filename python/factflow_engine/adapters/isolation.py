"""Isolation of an adapter's `process`: the place where it runs, and whether that can be a worker process.

Kept separate from the registry because both the loader and the runtime decide it, from the stage's settings.
"""

import sys
from typing import Final, Literal

from factflow_engine.adapters.class_checks import is_sync
from factflow_engine.adapters.registry import AdapterSpec
from factflow_protocols import PipelineAdapter, StorageBackendAdapter

ANOTHER_PLACE: Final = "or write isolation: thread"


def place_of(cls: type[PipelineAdapter], isolation: str | None) -> Literal["loop", "thread", "process"]:
    """Return where `process` runs: the stage's `isolation` overrides the adapter's `runs_in`."""
    if (isolation or cls.runs_in) == "process":
        return "process"
    return "thread" if is_sync(cls) else "loop"


def isolation_fault(spec: AdapterSpec, isolation: str | None) -> tuple[str, str] | None:
    """Return the reason why the adapter cannot run there, and what to write instead; None if it can.

    A worker process makes its own instance of the adapter, so it must be able to import the class.
    """
    cls, what = spec.adapter_class, f"adapter type {spec.type!r}"
    if isolation == "thread" and not spec.is_sync:
        return (
            f"process() of {what} is async and runs on trio, in no thread",
            "remove isolation, or write def process(...)",
        )
    if place_of(cls, isolation) != "process":
        return None
    if not spec.is_sync:
        return (
            f"process() of {what} is async, and a worker process has no event loop",
            "write def process(self, context) -> AdapterResult | None: in the adapter, or remove isolation",
        )
    if spec.is_stateful:
        return (
            f"{what} is a StatefulAdapter: each worker process would have a state of its own",
            f"subclass PipelineAdapter and keep what lasts in another stage, {ANOTHER_PLACE}",
        )
    if issubclass(cls, StorageBackendAdapter):
        return (
            f"{what} uses the object store, which a worker process does not have",
            f"subclass PipelineAdapter and let `store:` of the stage write what it makes, {ANOTHER_PLACE}",
        )
    own = [cls] if spec.config_model in {None, cls.config_model} else [cls, spec.config_model]
    for needed in own:
        problem = _why_not_importable(needed)
        if problem is not None:
            return f"{what} cannot be made in a worker process: {problem}", (
                f"move {needed.__name__} to the top of a module that the program imports, {ANOTHER_PLACE}"
            )
    return None


def _why_not_importable(cls: type) -> str | None:
    name = f"{cls.__module__}.{cls.__qualname__}"
    if cls.__module__ == "__main__":
        return f"{name} is defined in the program itself, which a worker process must not run again"
    found: object = sys.modules.get(cls.__module__)
    if found is None or getattr(found, "__file__", None) is None:
        return f"{name} is in no module with a file"
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    return None if found is cls else f"{name} is not what its module has under that name"
