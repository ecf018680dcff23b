"""All finding codes in one table: the loader's own and those of the condition compiler.

Kept separate from both so that neither repeats the other.
"""

from typing import Final

from factflow_engine.conditions import CODES as CONDITION_CODES
from factflow_engine.config.codes import CATALOGUE as LOADER_CODES
from factflow_engine.finding_code import Code

CATALOGUE: Final[dict[str, Code]] = dict(sorted((LOADER_CODES | dict(CONDITION_CODES)).items()))
"""Every code that a finding can have."""


def code_of(code: str) -> Code:
    """Return the catalogue entry of a code."""
    return CATALOGUE[code]
