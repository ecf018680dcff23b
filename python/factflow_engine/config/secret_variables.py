"""Rule for secrets of the environment: the name of the variable, or the value itself, says that it is one.

Kept separate from the references because the documentation quotes the rule, and whoever doubts a value in a log looks here.
"""

import re
from typing import Final

WORDS: Final = frozenset(
    {
        "AUTH", "AUTHORIZATION", "BEARER", "COOKIE", "CRED", "CREDS", "DSN", "IV", "JWT", "KEY", "KEYS", "MNEMONIC", "OTP",
        "PASS", "PASSCODE", "PAT", "PEM", "PIN", "PRIVATE", "PRIVKEY", "PW", "SALT", "SAS", "SIGNATURE", "SK",
    }
)  # fmt: skip
"""Words of a name, between underscores, that make its value a secret."""

PARTS: Final = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|SECRET(?!AR)|TOKEN(?!IZ)|CREDENTIAL|(API|ACCESS|ACCOUNT|PRIVATE)KEY|CONNECTION_?STRING"
    r"|CONN_?STR(_|$)|WEBHOOK|(?<!COM)(?<!BY)(?<!SUR)PASS\d*(_|$)|PW\d*(_|$)|(?<!OLD)(?<!^)PWD\d*(_|$)"
)
"""Parts of a name that make its value a secret wherever they stand; the last three, at the end of a word."""

PLAIN_WORDS: Final = frozenset({"MAX", "MIN", "PER", "PUBLIC"})
"""Words of a name that make its value none: `MAX_TOKENS`, `SSH_PUBLIC_KEY`."""

PLAIN_ENDS: Final = frozenset(
    {"COUNT", "DIR", "DOMAIN", "ENABLED", "FIELD", "FILE", "LENGTH", "LIMIT", "NAME", "PATH", "TYPE", "VERSION"}
)
"""Endings of a name, after the last underscore, that make its value none, but text about one: `PASSWORD_FILE`."""

_USERINFO: Final = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
_SETTING: Final = re.compile(
    r"(?:^|[;&?\s])(?:password|passwd|pwd|accountkey|sharedaccesskey|sharedaccesssignature|secret|sig|token|access_token"
    r"|api_?key)\s*=\s*[^\s;&=]",
    re.IGNORECASE,
)
_PRIVATE_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")


def is_secret(name: str, value: str) -> bool:
    """Return whether the value of this variable is kept out of findings, logs and reports.

    It is if the name has one of `WORDS` between underscores (`DB_PW`) or one of `PARTS` (`GITHUBTOKEN`; `DB_PWD`, though
    not `PWD`, the working folder), in any case, unless `PLAIN_WORDS` or `PLAIN_ENDS` say that it is about a secret only.
    It also is, whatever the name, if the value has a secret in it that can be told from other text: a URL with a password,
    a connection string or query with one, a private key. Any other is one where the reference says so: `${secret:NAME}`.
    """
    return _is_name_of_secret(name) or any(
        pattern.search(value) is not None for pattern in (_USERINFO, _SETTING, _PRIVATE_KEY)
    )


def _is_name_of_secret(name: str) -> bool:
    upper = name.upper()
    words = upper.split("_")
    if words[-1] in PLAIN_ENDS or not PLAIN_WORDS.isdisjoint(words):
        return False
    return not WORDS.isdisjoint(words) or PARTS.search(upper) is not None
