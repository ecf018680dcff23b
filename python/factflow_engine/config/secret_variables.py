"""Rule for secrets of the environment: the name of the variable, or the value itself, says that it is one.

Kept separate from the references because the documentation quotes the rule, and whoever doubts a value in a log looks here.
"""

import re
from typing import Final

WORDS: Final = frozenset(
    {
        "APIKEY", "AUTH", "AUTHORIZATION", "BEARER", "COOKIE", "CREDENTIAL", "CREDENTIALS", "DSN", "JWT", "KEY", "KEYS",
        "PASS", "PASSPHRASE", "PASSWD", "PIN", "PRIVATE", "PW", "SALT", "SIGNATURE",
    }
)  # fmt: skip
"""Words of a name, between underscores, that make its value a secret."""

PARTS: Final = ("PASSWORD", "SECRET", "TOKEN")
"""Parts of a name that make its value a secret wherever they stand."""

_USERINFO: Final = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


def is_secret(name: str, value: str) -> bool:
    """Return whether the value of this variable is kept out of findings, logs and reports.

    It is if the name has one of `WORDS` between underscores (`DB_PW`; `PWD` only with others, for alone it is the working
    folder) or one of `PARTS` anywhere (`GITHUBTOKEN`), in any case, or if the value is a URL with a password in it.
    Any other is one where the reference says so: `${secret:NAME}`.
    """
    upper = name.upper()
    words = upper.split("_")
    return (
        not WORDS.isdisjoint(words)
        or ("PWD" in words and len(words) > 1)
        or any(part in upper for part in PARTS)
        or _USERINFO.search(value) is not None
    )
