"""What a row shows of a message, without values from the environment: the native half beside `Hiding`."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from factflow_engine.config.hiding import Hiding
from factflow_engine.config.secret_variables import is_secret
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from support.lineage import KeptLineage
from support.pipelines import load, registry_of

CONFIG = """
lineage: {mode: full}
routes:
  r:
    adapters: [{type: forward, condition: {field: a, operator: eq, value: "${TOKEN} and ${PASSWORD}"}}]
"""

MOST_SHOWN = 200

characters = st.sampled_from("ab\t\r\n\f\x01\x7f\"'\\é∞😀 ")
secrets = st.text(characters, min_size=4, max_size=10)


@st.composite
def messages(draw):
    """Two secrets, and values that have them, parts of them, and text that reaches to where it is cut."""
    values = draw(st.tuples(secrets, secrets))
    part = st.sampled_from(values).flatmap(lambda value: st.sampled_from([value, value[1:], value[:-1], value * 2]))
    filler = st.text(characters, max_size=4) | st.integers(180, 205).map("z".__mul__)
    texts = st.lists(part | filler, max_size=4).map("".join)
    scalars = texts | st.none() | st.booleans() | st.integers(0, 2**64 - 1)
    shown = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=2))
    return values, draw(st.lists(shown, min_size=1, max_size=5))


def what_is_shown(token, password, values, text=CONFIG):
    """Carry messages past a stage that they skip; return what its rows show of them, and the secrets."""
    sink, known = KeptLineage(), []

    async def main(simulation):
        registry = registry_of()
        async with OrchestratorManager(registry=registry, seams=simulation.seams, lineage=sink) as manager:
            config = load(registry, text)
            known.append(config.secrets)
            execution = await manager.start(config)
            for value in values:
                await execution.publish("r", {"a": value})
            await execution.complete()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOKEN", token)
        patch.setenv("PASSWORD", password)
        in_virtual_time(main, seed=0)
    assert [row.status for row in sink.entries] == ["skipped"] * len(values)
    return [json.loads(row.detail)["actual"] for row in sink.entries], known[0]


def expected(value, hiding):
    if isinstance(value, str):
        hidden = hiding(value)
        return hidden if len(hidden) <= MOST_SHOWN else hidden[:MOST_SHOWN] + "…"
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode()) > MOST_SHOWN:
        return f"a {'list' if isinstance(value, list) else 'mapping'} of {len(value)}"
    hidden = hiding(text)
    return value if hidden == text else hidden


LONG = "s3" * 500


@given(messages())
@example((("a\tb\r\nc", "unused"), [["a\tb\r\nc"], {"k": "xa\tb\r\ncx"}]))  # escapes of a tab and of a line's end
@example(((LONG, "unused"), [LONG + "x" * 100 + LONG]))  # what is hidden first brings more into sight
@example((("abcdef", "defghi"), ["abcdefghi", ["abcdefghi"]]))  # they overlap
@example((("first line\nsecond line", "unused"), ["  second line", ["first line"]]))  # a part of it, indented
@example((("12345678", "unused"), [12345678, [12345678]]))
def test_values_from_the_environment_are_never_shown(given):
    (token, password), values = given
    assert is_secret("TOKEN", token)
    shown, known = what_is_shown(token, password, values)
    assert {token, password} <= set(known)
    hiding = Hiding(known)
    assert shown == [expected(value, hiding) for value in values]


def test_a_value_that_no_message_can_have_is_no_obstacle(monkeypatch):
    """A byte that is not UTF-8 is a lone surrogate in Python's environment."""
    monkeypatch.setenv("RAW_TOKEN", "abc\udc80defg")
    config = 'description: "${RAW_TOKEN}"' + CONFIG
    shown, known = what_is_shown("abcdefg", "unused", ["abc", "abcdefg"], config)
    assert "abc\udc80defg" in known
    assert shown == ["abc", "${TOKEN}"]
