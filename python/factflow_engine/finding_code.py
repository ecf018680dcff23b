"""One kind of problem that a finding can name, whichever package has the catalogue that it stands in.

Kept separate from those catalogues because the condition compiler and the loader, of which neither may import the
other's, both have one.
"""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Consequence of a finding for the configuration."""

    ERROR = "error"
    """It cannot be run."""
    WARNING = "warning"
    """It can be run, and probably does not do what was meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One kind of problem.

    Attributes:
        code: `E` or `W`, and three digits; the first is the family.
        title: A few words.
        explanation: Why it is a problem.
        remedy: What to write instead, where nothing more exact is known.
    """

    code: str
    title: str
    explanation: str
    remedy: str

    @property
    def severity(self) -> Severity:
        """Read off the code's letter."""
        return Severity.WARNING if self.code.startswith("W") else Severity.ERROR
