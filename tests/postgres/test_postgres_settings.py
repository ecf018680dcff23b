"""URLs of PostgreSQL stores: what is read, what is refused, and that no text has the password."""

import psycopg.conninfo
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.postgres import PostgresSettings, PostgresUrlError


def test_a_url_names_server_database_and_schema():
    settings = PostgresSettings.from_url("postgresql://ann:secret@db.example:5433/facts?schema=lineage&sslmode=require")
    assert (settings.place, settings.schema) == ("db.example:5433/facts", "lineage")
    read = psycopg.conninfo.conninfo_to_dict(settings.url)
    assert (read["user"], read["password"], read["port"], read["dbname"]) == ("ann", "secret", "5433", "facts")
    assert (read["sslmode"], read["connect_timeout"], read["application_name"]) == ("require", "5", "factflow")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgres://", "the default server"),
        ("postgresql:///facts?host=/run/postgresql", "/run/postgresql/facts"),
        ("postgresql://a:1,[::1]:2/facts?target_session_attrs=read-write", "a:1,[::1]:2/facts"),
        ("postgresql://user%40corp:p%23w@host/d%20b?connect_timeout=9", "host/d b"),
    ],
)
def test_what_is_left_out_is_the_default(url, place):
    settings = PostgresSettings.from_url(url)
    assert (settings.place, settings.schema) == (place, "factflow")
    psycopg.conninfo.conninfo_to_dict(settings.url)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("mysql://host/db", "write postgresql://"),
        ("postgresql:/host", "write postgresql://"),
        ("postgresql://u:pa#ss@host/db", "write %23"),
        ("postgresql://u:pa ss@host/db", "with %xx"),
        ("postgresql://u:p@host:99999/db", "a number from 1 to 65535"),
        ("postgresql://u:p@host:5x/db", "a number from 1 to 65535"),
        ("postgresql://u:p@[::1/db", "cannot be read"),
        ("postgresql://u:p@host/db?shcema=x", "did you mean 'schema'?"),
        ("postgresql://u:p@host/db?options=-c%20x=y", "has no option 'options'"),
        ("postgresql://u:p@host/db?service=x", "has no option 'service'"),
        ("postgresql://u:p@host/db?schema=x&schema=y", "gives schema twice"),
        ("postgresql://u:p@host/db?schema=x%22;drop", "is not usable; expected a-z"),
        ("postgresql://u:p@host/db?schema=pg_temp", "PostgreSQL's own"),
        ("postgresql://u:p@host/db?schema=", "is not usable"),
        ("postgresql://u:p@host/db?sslmode=", "is not usable; expected some text"),
        ("postgresql://u:p@host/db?connect_timeout=0", "from 1 to 600"),
        ("postgresql://u@host/db?password=topsecret", "before the '@'"),
    ],
)
def test_a_wrong_url_says_what_to_write(url, text):
    with pytest.raises(PostgresUrlError) as caught:
        PostgresSettings.from_url(url)
    assert text in str(caught.value)
    for secret in ("pa#ss", "pa ss", "topsecret", ":p@"):
        assert secret not in str(caught.value)


@given(st.text(max_size=30), st.text("abcXYZ019!$&'()*+,;=:@/?%#[]\\\" \0", max_size=12))
def test_any_url_is_read_or_refused_and_the_password_is_not_shown(tail, noise):
    for url in (
        f"postgresql://user:hunter2secret{noise}@host/db",
        f"postgresql://{tail}",
        f"postgresql://user:hunter2secret@{tail}",
        f"postgresql://host/db?{noise}password=hunter2secret",
    ):
        shown = ""
        try:
            shown = repr(PostgresSettings.from_url(url))
        except PostgresUrlError as error:
            shown = f"{error} {error!r} {error.url}"
        assert "hunter2" not in shown
