"""Parsing of `postgresql://user:password@host:port/database?option=value` into checked settings.

Kept separate from connecting so that a URL can be checked without a server, and without the driver. URLs come from
configurations and command lines and are untrusted: no option of libpq that names a program or another file of options
is passed on.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from factflow_engine.postgres.errors import PostgresUrlError
from factflow_engine.url_options import UrlOption, read_options

SCHEMES: Final = ("postgresql", "postgres")

DEFAULT_SCHEMA: Final = "factflow"

_FORM: Final = "write postgresql://user:password@host:5432/database"

_LIBPQ: Final = (
    "application_name",
    "channel_binding",
    "connect_timeout",
    "gssencmode",
    "host",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
)
"""Options that are passed on to libpq as they are."""

_DEFAULTS: Final[Mapping[str, str]] = {
    "application_name": "factflow",
    "connect_timeout": "5",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""Values for libpq: a peer that is gone without a word is noticed within half a minute."""

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,47}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSettings:
    """Server, database and schema of a store.

    Attributes:
        url: URL for libpq, password included: never printed.
        place: Server and database without user and password, for messages.
        schema: Schema that holds the tables; made if it is not there.
    """

    url: str = field(repr=False)
    place: str
    schema: str = DEFAULT_SCHEMA

    @classmethod
    def from_url(cls, url: str) -> "PostgresSettings":
        """Read a URL; what it leaves out comes from libpq's variables, such as `PGPASSWORD`, or from `~/.pgpass`.

        Options are `schema`, and of libpq `application_name`, `channel_binding`, `connect_timeout` (seconds, 5 by
        default), `gssencmode`, `host` (a folder of Unix sockets), `sslcert`, `sslkey`, `sslmode`, `sslrootcert` and
        `target_session_attrs`.

        Raises:
            PostgresUrlError: The URL is malformed; the text says what to write instead.
        """
        scheme, _, rest = url.partition("://")
        if scheme not in SCHEMES or "://" not in url:
            raise PostgresUrlError(url, _FORM)
        if "#" in rest:
            raise PostgresUrlError(url, "has a '#'; write %23 for one that is part of a name or a password")
        if not rest.isprintable() or " " in rest:
            raise PostgresUrlError(url, f"has a space or a control character; {_FORM}, with %xx for such characters")
        try:
            parts = urlsplit(url)
        except ValueError:
            raise PostgresUrlError(url, f"cannot be read; {_FORM}") from None
        if "@" in parts.path or "@" in parts.query or parts.netloc.count("@") > 1:
            raise PostgresUrlError(url, "has an '@', '/' or '?' in user or password; write %40, %2F or %3F")
        _, _, hosts = parts.netloc.rpartition("@")
        for host in hosts.split(","):
            _check_port(url, host)
        options = dict(_DEFAULTS) | _options(url, parts.query)
        schema = options.pop("schema", DEFAULT_SCHEMA)
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(options.items()))
        place = (hosts or options.get("host") or "the default server") + (parts.path if parts.path != "/" else "")
        return cls(
            url=f"postgresql://{parts.netloc}{parts.path}?{query}",
            place=unquote(place, errors="replace"),
            schema=schema,
        )


def _check_port(url: str, host: str) -> None:
    port = host.rpartition("]")[2].partition(":")[2]
    if port and not (port.isascii() and port.isdigit() and 0 < int(port[:9]) < 65_536):
        raise PostgresUrlError(
            url, "has a port that is none; expected a number from 1 to 65535"
        )  # it may be a password


def _options(url: str, query: str) -> dict[str, str]:
    if any(name == "password" for name, _ in parse_qsl(query, keep_blank_values=True)):
        raise PostgresUrlError(
            url, "gives a password as an option; write it before the '@', or set PGPASSWORD, or use ~/.pgpass"
        )
    return read_options(url, query, _OPTIONS, PostgresUrlError)


def _schema(text: str) -> str:
    if not _NAME.fullmatch(text) or text.startswith("pg_"):  # those are PostgreSQL's own
        raise ValueError
    return text


def _seconds(text: str) -> str:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= 600):
        raise ValueError
    return text


def _text(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError
    return text


_OPTIONS: Final = {
    "schema": UrlOption(
        attribute="schema",
        read=_schema,
        expected="a-z, 0-9 and _, at most 48 of them; names that begin with pg_ are PostgreSQL's own",
    ),
    **{name: UrlOption(attribute=name, read=_text, expected="some text") for name in _LIBPQ},
    "connect_timeout": UrlOption(attribute="connect_timeout", read=_seconds, expected="seconds, from 1 to 600"),
}
