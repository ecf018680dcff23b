"""All codes in one table: the loader's own and those that the condition compiler keeps.

Kept separate from both so that neither repeats the other.
"""

from typing import Final

from factflow_engine.conditions import CODES as CONDITION_CODES
from factflow_engine.config.codes import CATALOGUE as LOADER_CODES
from factflow_engine.config.codes import Code

_CONDITIONS: Final = {
    code: Code(
        code=code,
        title=entry.title,
        explanation=entry.explanation,
        remedy="write the condition as its operator needs it",
    )
    for code, entry in CONDITION_CODES.items()
}

CATALOGUE: Final[dict[str, Code]] = dict(sorted((LOADER_CODES | _CONDITIONS).items()))
"""Every code that a finding can have."""


def code_of(code: str) -> Code:
    """What is known of a code."""
    return CATALOGUE[code]
