"""Where adapters may run, and what is said of those that may not."""

from dataclasses import replace
from typing import ClassVar

import pytest
from pydantic import BaseModel

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.adapters.isolation import isolation_fault, place_of
from factflow_engine.errors import AdapterRegistrationError
from factflow_protocols import PipelineAdapter, StatefulAdapter
from support.process_adapters import Threaded, Work


class Async(PipelineAdapter):
    async def process(self, context):
        return None


class Stateful(StatefulAdapter):
    def process(self, context):
        return None


class InMain(PipelineAdapter):
    __module__ = "__main__"

    def process(self, context):
        return None


def spec_of(cls, **changes):
    registry = ValidatingAdapterRegistry.empty()
    registry.register("probe", cls)
    return replace(registry.get("probe"), **changes)


def local():
    class Local(PipelineAdapter):
        def process(self, context):
            return None

    return Local


class LocalModel(BaseModel):
    pass


LocalModel.__qualname__ = "nowhere.LocalModel"


@pytest.mark.parametrize(
    ("cls", "isolation", "place"),
    [
        (Work, None, "process"),
        (Work, "thread", "thread"),
        (Threaded, None, "thread"),
        (Threaded, "process", "process"),
        (Async, None, "loop"),
    ],
)
def test_the_stage_says_more_than_the_class_and_the_class_more_than_nothing(cls, isolation, place):
    assert place_of(cls, isolation) == place
    assert isolation_fault(spec_of(cls), isolation) is None


@pytest.mark.parametrize(
    ("spec", "isolation", "problem", "remedy"),
    [
        (spec_of(Async), "process", "async, and a worker process has no event loop", "write def process"),
        (spec_of(Async), "thread", "is async and runs on trio", "remove isolation"),
        (spec_of(Stateful), "process", "a state of its own", "subclass PipelineAdapter"),
        (spec_of(local()), "process", "Local is not what its module has", "move Local to the top of a module"),
        (spec_of(InMain), "process", "InMain is defined in the program itself", "move InMain to the top of a module"),
        (spec_of(Work, config_model=LocalModel), None, "LocalModel is not what", "move LocalModel to the top"),
    ],
)
def test_an_adapter_that_cannot_run_there_is_told_what_to_write(spec, isolation, problem, remedy):
    fault = isolation_fault(spec, isolation)
    assert fault is not None
    assert problem in fault[0]
    assert remedy in fault[1]


@pytest.mark.parametrize(
    ("base", "place", "problem"),
    [
        (Async, "process", "its process is async"),
        (Stateful, "process", "a state of its own"),
        (Threaded, "elsewhere", "got 'elsewhere'"),
    ],
)
def test_a_class_that_contradicts_itself_is_not_registered(base, place, problem):
    class Wrong(base):
        runs_in: ClassVar = place

    with pytest.raises(AdapterRegistrationError, match=problem):
        ValidatingAdapterRegistry.empty().register("wrong", Wrong)
