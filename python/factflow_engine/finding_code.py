"""One kind of problem that a finding can name, in whichever catalogue.

Kept separate from the catalogues because both the condition compiler and the loader have one, and neither may import
the other's.
"""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Consequence of a finding for the configuration."""

    ERROR = "error"
    """Fault that prevents running the configuration."""
    WARNING = "warning"
    """Configuration that can be run, and probably does not do what was meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One kind of problem.

    Attributes:
        code: `E`, `W` or `T`, and three digits; the first is the family.
        title: A few words.
        explanation: Reason why it is a problem.
        remedy: What to write instead, if nothing more specific is known.
    """

    code: str
    title: str
    explanation: str
    remedy: str

    @property
    def severity(self) -> Severity:
        """Severity, from the code's letter."""
        return Severity.WARNING if self.code.startswith("W") else Severity.ERROR
