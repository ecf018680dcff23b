"""Strategy for configurations with one mistake, and the finding that it must give.

Kept separate from `mistakes`, the table, and from `configs`, whose drawn configurations these begin with.
"""

import copy
from collections.abc import Collection
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

from factflow_engine.testing.strategies.configs import documents
from factflow_engine.testing.strategies.errors import StrategyError
from factflow_engine.testing.strategies.features import FEATURES
from factflow_engine.testing.strategies.mistakes import LINES, MISTAKES
from factflow_engine.testing.strategies.text import ConfigText, Layout

INVALID_CODES: Final = tuple(sorted([*MISTAKES, *LINES, "E009", "E017"]))
"""Codes of the findings that drawn mistakes give: the loader's errors that one edit of a text can give."""


class InvalidConfig(NamedTuple):
    """Configuration with one mistake.

    Attributes:
        text: Its text.
        code: Code of the one error that the loader must find.
        line: Line at which it must find it, from 1.
    """

    text: ConfigText
    code: str
    line: int


def invalid_configs(
    *,
    codes: Collection[str] = INVALID_CODES,
    routes: tuple[int, int] = (1, 3),
    stages: tuple[int, int] = (0, 2),
    features: Collection[str] = FEATURES,
) -> st.SearchStrategy[InvalidConfig]:
    """Return a strategy for configurations with exactly one mistake, each with its finding's code and line.

    They begin with a configuration of `configs` over the example adapters. The loader must be one for
    `registry_of_examples()`, and the environment must not have `FACTFLOW_NOT_DEFINED`.

    Args:
        codes: Codes that are drawn, among `INVALID_CODES`; all the same are not: warnings, and errors that need more than
            a text (a file, a module, a large environment, another queue), or a very long one.
        routes: The least and the greatest number of routes before the mistake.
        stages: The least and the greatest number of stages of a route before it.
        features: Parts that are drawn, among `FEATURES`.

    Raises:
        StrategyError: An argument is none of these.

    Example:
        @given(invalid_configs(codes=["E202"]))
        def test_my_tool_refuses_it(drawn):
            text, code, line = drawn
    """
    named = [codes] if isinstance(codes, str) else list(codes)
    for code in named:
        if code not in INVALID_CODES:
            raise StrategyError(f"codes: expected some of {', '.join(INVALID_CODES)}, got {code!r}")
    if not named:
        raise StrategyError("codes: expected at least one, got none")
    valid, chosen = documents(None, None, routes, stages, features, cycles=False), st.sampled_from(named)

    @st.composite
    def drawn(draw: st.DrawFn) -> InvalidConfig:
        code = draw(chosen)
        document = copy.deepcopy(draw(valid))
        if code not in MISTAKES:
            return _of_text(code, document)
        plant = draw(st.sampled_from(MISTAKES[code]))
        path, at_key = plant(document, draw(st.sampled_from(list(document["routes"]))))
        layout = Layout(document)
        return InvalidConfig(ConfigText(layout.text), code, (layout.keys if at_key else layout.values)[path])

    return drawn()


def _of_text(code: str, document: dict[str, Any]) -> InvalidConfig:
    """Return a document with a mistake that is none of its values."""
    if code == "E017":
        return InvalidConfig(ConfigText("# nothing\n"), code, 1)
    document.pop("description", None)
    text = Layout(document).text
    if code == "E009":
        return InvalidConfig(ConfigText(f"\ufeff{text}"), code, 1)
    more = "a: b\n" if code == "E012" else ""
    return InvalidConfig(ConfigText(f"{text}{LINES[code]}\n{more}"), code, text.count("\n") + 1)
