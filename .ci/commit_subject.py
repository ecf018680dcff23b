"""Refuse a commit message whose subject is longer than 72 characters or does not begin with the area it changes."""

import re
import sys
from pathlib import Path

SUBJECT = re.compile(r"[a-z][a-z0-9/_.-]*: \S")
LONGEST = 72


def problem(subject: str) -> str | None:
    """Return what is wrong with a subject; None if it will do. What git writes itself is left alone."""
    if subject.startswith(("Merge ", "Revert ", "fixup! ", "squash! ", "amend! ")):
        return None
    if not SUBJECT.match(subject):
        return f"expected a subject that begins with its area, as in 'queues: ...', got {subject!r}"
    if len(subject) > LONGEST:
        return f"expected a subject of at most {LONGEST} characters, got {len(subject)}: {subject!r}"
    return None


if __name__ == "__main__":
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    sys.exit(problem(lines[0] if lines else ""))
