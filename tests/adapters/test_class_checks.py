import functools
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.errors import AdapterRegistrationError
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext, StageInfo, StatefulAdapter


class Good(PipelineAdapter):
    async def process(self, context: PipelineContext) -> AdapterResult | None: ...


def refusal(cls: object, name: str = "adapter") -> str:
    with pytest.raises(AdapterRegistrationError) as caught:
        ValidatingAdapterRegistry.empty().register(name, cls)
    return str(caught.value)


def accepted(cls: type[PipelineAdapter]) -> bool:
    registry = ValidatingAdapterRegistry.empty()
    registry.register("adapter", cls)
    return registry.types() == ("adapter",)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("Shout", "'shout'"),
        ("htmlToText", "'html_to_text'"),
        ("html-to-text", "'html_to_text'"),
        ("acme..shout", "'acme.shout'"),
        (".shout", "'shout'"),
        ("2fast", "'fast'"),
        ("", "'my_adapter'"),
        ("schöner", "'sch_ner'"),
        ("shout\n", "'shout'"),
    ],
)
def test_a_malformed_name_is_refused_with_a_better_one(name, instead):
    message = refusal(Good, name)
    assert "lower snake case" in message
    assert message.endswith(f"write {instead}")


@given(st.text(max_size=20))
def test_the_name_written_instead_is_itself_accepted(name):
    registry = ValidatingAdapterRegistry.empty()
    try:
        registry.register(name, Good)
    except AdapterRegistrationError as error:
        registry.register(str(error).rpartition("write ")[2].strip("'"), Good)
    assert len(registry.types()) == 1


def test_names_end_at_64_characters():
    ValidatingAdapterRegistry.empty().register("a" * 64, Good)
    assert "65 characters" in refusal(Good, "a" * 65)


def test_a_name_that_is_no_string_is_refused():
    with pytest.raises(AdapterRegistrationError, match=r'write @registry\.register\("my_adapter"\)'):
        ValidatingAdapterRegistry.empty().register(Good)


def test_a_class_that_is_no_adapter_is_refused_with_the_base_to_write():
    class Shout:
        async def process(self, context: PipelineContext) -> None: ...

    assert refusal(Shout).endswith("write class Shout(PipelineAdapter):")


def test_an_instance_is_refused_and_its_class_named():
    assert refusal(Good()).endswith("pass the class itself: Good")


def test_an_abstract_class_is_refused_with_the_line_it_lacks():
    class Abstract(PipelineAdapter):
        pass

    message = refusal(Abstract)
    assert "process is still abstract" in message
    assert "async def process(self, context: PipelineContext)" in message


def bare(self) -> None: ...
def one_more(self, context, options) -> None: ...
def one_more_with_default(self, context, options=None) -> None: ...
def keyword_only(self, context, *, options) -> None: ...


@pytest.mark.parametrize("function", [bare, one_more, one_more_with_default, keyword_only])
def test_process_with_other_arguments_is_refused_with_its_signature(function):
    message = refusal(type("Adapter", (PipelineAdapter,), {"process": function}))
    assert "Adapter.process is called with (self, context)" in message
    assert "write: async def process(self, context: PipelineContext) -> AdapterResult | None:" in message


@pytest.mark.parametrize("wrapper", [staticmethod, classmethod, property])
def test_process_that_is_no_method_is_refused(wrapper):
    message = refusal(type("Adapter", (PipelineAdapter,), {"process": wrapper(lambda self, context: None)}))
    assert f"must be a method, it is a {wrapper.__name__}" in message


def test_a_generator_is_refused_with_emitted_instead():
    class Generator(PipelineAdapter):
        def process(self, context: PipelineContext) -> Iterator[int]:
            yield 1

    assert "return AdapterResult(emitted=" in refusal(Generator)


def test_an_async_generator_is_refused_with_emitted_instead():
    class Generator(PipelineAdapter):
        async def process(self, context: PipelineContext) -> AsyncIterator[int]:
            yield 1

    assert "return AdapterResult(emitted=" in refusal(Generator)


def test_an_async_function_behind_a_synchronous_decorator_is_refused():
    def traced(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapper

    class Traced(PipelineAdapter):
        @traced
        async def process(self, context: PipelineContext) -> None: ...

    assert "make the decorator's wrapper `async def`" in refusal(Traced)


def test_an_async_decorator_is_accepted():
    def traced(function):
        @functools.wraps(function)
        async def wrapper(*args, **kwargs):
            return await function(*args, **kwargs)

        return wrapper

    class Traced(PipelineAdapter):
        @traced
        async def process(self, context: PipelineContext) -> None: ...

    assert accepted(Traced)


def test_process_may_be_inherited_and_may_be_plain():
    class Base(PipelineAdapter):
        def process(self, context: PipelineContext, /) -> None: ...

    class Derived(Base):
        pass

    assert accepted(Derived)


def test_a_constructor_that_wants_more_than_the_engine_gives_is_refused():
    class Wants(PipelineAdapter):
        def __init__(self, client: object) -> None: ...

        async def process(self, context: PipelineContext) -> None: ...

    message = refusal(Wants)
    assert "cannot be constructed as cls(): missing a required argument: 'client'" in message
    assert "__init__(self, client: object)" in message
    assert "config_model" in message


def test_a_constructor_that_takes_no_config_is_refused_if_there_is_a_model():
    class Config(BaseModel):
        pass

    class Takes(PipelineAdapter):
        config_model = Config

        async def process(self, context: PipelineContext) -> None: ...

    message = refusal(Takes)
    assert "cannot be constructed as cls(config)" in message
    assert "write def __init__(self, config: MyConfig) -> None:" in message


def test_lifecycle_methods_must_be_async():
    class Stateful(StatefulAdapter):
        async def process(self, context: PipelineContext) -> None: ...

        def close(self) -> None: ...

    assert refusal(Stateful).endswith("close must be `async def`; write: async def close(self) -> None:")


def test_open_must_take_the_stage():
    class Stateful(StatefulAdapter):
        async def process(self, context: PipelineContext) -> None: ...

        async def open(self) -> None: ...

    assert "write: async def open(self, stage: StageInfo) -> None:" in refusal(Stateful)


def test_a_lifecycle_that_would_never_be_called_is_refused():
    class Forgetful(PipelineAdapter):
        async def process(self, context: PipelineContext) -> None: ...

        async def open(self, stage: StageInfo) -> None: ...

    assert refusal(Forgetful).endswith("write class Forgetful(StatefulAdapter):")


class Stateful(StatefulAdapter):
    async def process(self, context: PipelineContext) -> AdapterResult | None: ...


def keeping(**members: object) -> type[StatefulAdapter]:
    return type("Keeping", (Stateful,), {"__module__": __name__, **members})


def snapshot(self: object) -> object: ...


def restore(self: object, state: object) -> None: ...


async def flush(self: object) -> None: ...


async def asynchronous(self: object) -> object: ...


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"snapshot": snapshot}, "def restore(self, state: Any) -> None:"),
        ({"restore": restore}, "def snapshot(self) -> Any:"),
        ({"flush": flush}, "durable_batches = True"),
        ({"durable_batches": True}, "async def flush(self) -> None:"),
        ({"snapshot": asynchronous, "restore": restore}, "def snapshot(self) -> Any:"),
        ({"snapshot": snapshot, "restore": asynchronous}, "def restore(self, state: Any) -> None:"),
        ({"durable_batches": True, "flush": snapshot}, "async def flush(self) -> None:"),
        ({"snapshot": snapshot, "restore": lambda self: None}, "def restore(self, state: Any) -> None:"),
    ],
)
def test_half_of_what_keeps_state_is_refused_with_the_line_it_lacks(members, said):
    message = refusal(keeping(**members))
    assert "write" in message
    assert message.endswith(said), message


@pytest.mark.parametrize(
    "members",
    [
        {"snapshot": snapshot, "restore": restore},
        {"durable_batches": True, "flush": flush},
        {"snapshot": snapshot, "restore": restore, "durable_batches": True, "flush": flush},
    ],
)
def test_both_halves_are_accepted(members):
    assert accepted(keeping(**members))


def test_halves_may_be_inherited():
    class Half(Stateful):
        def snapshot(self) -> object: ...

    class Other(Half):
        def restore(self, state: object) -> None: ...

    assert accepted(Other)
