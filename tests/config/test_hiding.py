"""Values of the environment are found in texts however they are quoted, and nothing else is touched."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.config import PipelineConfigLoader
from factflow_engine.config.hiding import SHORTEST, Hiding
from factflow_engine.config.secret_variables import is_secret
from factflow_engine.error_texts import CUT, error_text
from support.timings import grows_at_most

PEM = "-----BEGIN KEY-----\nMIIE'quoted\"\\x\nAb+/\n-----END KEY-----\n"

# Of no character that stands around them, or that references are made of: what is found was really there.
SECRETS = st.text(
    st.characters(exclude_characters="${}…<>|~^", exclude_categories=["Cs"]), min_size=SHORTEST, max_size=40
)
AROUND = st.text("<>|~^", max_size=30)

QUOTINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "repr": repr,
    "repr beside the other quotes": lambda value: repr("'\"" + value),
    "repr in a container": lambda value: repr({"key": [value]}),
    "repr of bytes": lambda value: repr(value.encode()),
    "a KeyError": lambda value: str(KeyError(value)),
    "a KeyError of a repr": lambda value: str(KeyError(f"no {value!r}")),
    "JSON": json.dumps,
    "JSON of more characters": lambda value: json.dumps(value, ensure_ascii=False),
    "JSON in JSON": lambda value: json.dumps({"body": json.dumps({"key": value})}),
    "repr of JSON": lambda value: repr(json.dumps(value)),
    "indented": lambda value: "\n".join(f"  | {line}" for line in value.splitlines()),
}


@pytest.mark.parametrize("quoted", QUOTINGS.values(), ids=QUOTINGS)
@given(secret=SECRETS, before=AROUND, after=AROUND)
def test_a_value_is_hidden_however_it_is_quoted(
    quoted: Callable[[str], str], secret: str, before: str, after: str
) -> None:
    shown = Hiding({secret: "${NAME}"})(before + quoted(secret) + after)
    lines = [line for line in secret.splitlines() if len(line) >= SHORTEST]
    assert not [part for part in (secret, *lines) if part in shown]
    assert shown.startswith(before)
    assert shown.endswith(after)
    if lines or quoted is not QUOTINGS["indented"]:
        assert "${NAME}" in shown


@pytest.mark.parametrize("quoted", QUOTINGS.values(), ids=QUOTINGS)
def test_no_line_of_a_key_is_shown(quoted: Callable[[str], str]) -> None:
    shown = Hiding({PEM: "${PEM}"})(f"cannot use {quoted(PEM)}: refused")
    assert shown.startswith("cannot use ")
    assert shown.endswith(": refused")
    assert not [part for part in ("BEGIN", "MIIE", "quoted", "Ab+/", "END") if part in shown]


@given(secret=SECRETS, length=st.integers(1, 60), before=st.integers(0, 2050))
def test_nothing_is_left_of_a_value_where_a_text_is_cut(secret: str, length: int, before: int) -> None:
    secret *= length
    text = error_text(OSError("." * before + secret))
    shown = Hiding({secret: "${NAME}"})(text)
    mark = CUT if text.endswith(CUT) else ""
    kept = min(len(secret), len(text) - len(mark) - before)
    assert shown == ("." * before + "${NAME}" + mark if kept >= SHORTEST else text)


@given(text=AROUND, values=st.dictionaries(SECRETS, st.just("${NAME}"), max_size=4))
def test_a_text_that_has_no_value_is_left_as_it_is(text: str, values: Mapping[str, str]) -> None:
    assert Hiding(values)(text + CUT) == text + CUT


@given(data=st.data())
def test_values_that_overlap_are_hidden_whole(data: Any) -> None:
    whole = data.draw(st.text("ab", min_size=12, max_size=24))
    cuts = data.draw(st.lists(st.tuples(st.integers(0, 8), st.integers(4, 12)), min_size=1, max_size=4))
    values = {whole[start : start + size]: "${X}" for start, size in cuts}
    shown = Hiding(values)(f"<{whole}>")
    hidden = {
        place
        for value in values
        for start in range(len(whole))
        if whole.startswith(value, start)
        for place in range(start, start + len(value))
    }
    assert shown.replace("${X}", "") == "<" + "".join(c for at, c in enumerate(whole) if at not in hidden) + ">"


def test_a_reference_is_no_text_that_another_value_could_be_found_in() -> None:
    hidden = Hiding({"s3cret-one": "${TOKEN}", "TOKEN": "${WORD}"})
    assert hidden("s3cret-one is the TOKEN") == "${TOKEN} is the ${WORD}"


def test_a_text_as_large_as_a_message_is_bounded_before_it_is_encoded() -> None:
    text = error_text(OSError("\udcff" * 10_000))
    assert len(text) == 2000
    assert text.endswith(CUT)


def secrets(loader_with: Callable[[Mapping[str, str]], PipelineConfigLoader], written: str, **environ: str) -> Any:
    text = f'version: "1.0"\nroutes: {{a: {{adapters: [{{type: plain}}]}}}}\ndescription: x\ninit_message:\n  route: a\n  payload: {written}'
    return loader_with(environ).load_text(text).secrets


def test_what_a_configuration_hides(loader_with: Callable[[Mapping[str, str]], PipelineConfigLoader]) -> None:
    def hidden(written: str, **environ: str) -> Any:
        return secrets(loader_with, written, **environ)

    assert hidden("'postgres://u:${PW}@db'", PW="hunter2") == {"hunter2": "${PW}"}
    assert hidden("'${PW:nothing}'") == {}, "a default is written in the file"
    assert hidden("'${PW:nothing}'", PW="hunter2") == {"hunter2": "${PW}"}
    assert hidden("'postgres://u:${PW}@db'", PW="abc")["postgres://u:abc@db"] == "postgres://u:${PW}@db"
    assert hidden("${PIN}", PIN="00123456")["123456"] == "${PIN}"
    assert hidden("nothing", PW="hunter2") == {}
    assert hidden("${HOST}", HOST="example.org") == {}
    assert hidden("${secret:HOST}", HOST="example.org") == {"example.org": "${secret:HOST}"}
    assert hidden("${secret:HOST:x}", HOST="example.org") == {"example.org": "${secret:HOST}"}
    assert hidden("${secret:HOST:x}") == {}
    assert hidden("${secret:a b}", secret="hunter2") == {"hunter2": "${secret}"}, "a variable of this name, as before"
    url = "postgres://u:hunter2@db/x"
    assert hidden("${DATABASE_URL}", DATABASE_URL=url) == {url: "${DATABASE_URL}"}


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("PASSWORD", True), ("db_password", True), ("PGPASSWORD", True), ("API_KEY", True), ("GITHUBTOKEN", True),
        ("AWS_SECRET_ACCESS_KEY", True), ("DB_PW", True), ("DB_PWD", True), ("SENTRY_DSN", True), ("AUTH_COOKIE", True),
        ("PWD", False), ("PORT", False), ("REGION", False), ("MONKEY", False), ("KEYBOARD", False), ("COMPASS", False),
        ("AUTHOR", False), ("SPIN", False), ("HOME", False),
        ("MYSQL_PWD", True), ("AWS_ACCESS_KEY_ID", True), ("AWS_ACCESSKEY", True), ("SLACK_WEBHOOK_URL", True),
        ("STRIPE_SK", True), ("ENCRYPTION_IV", True), ("BASIC_AUTH", True), ("CONNECTION_STRING", True),
        ("AZURE_STORAGE_CONNECTION_STRING", True), ("ConnectionStrings__Default", True), ("SERVICEBUS_CONN_STR", True),
        ("GITHUB_PAT", True), ("DBPASS", True), ("DBPASS2", True), ("LDAP_BINDPW", True), ("DBPWD_RO", True),
        ("STORAGE_ACCOUNTKEY", True), ("clientSecret", True), ("apiKey", True), ("DB_CREDS", True), ("TLS_CERT_PEM", True),
        ("TOKEN_PORT", True), ("OLDPWD", False), ("BYPASS", False), ("SURPASS_X", False), ("PASSENGERS", False),
        ("PATH", False), ("PATCH", False), ("MAX_TOKENS", False), ("TOKENS_PER_MINUTE", False), ("TOKENIZER", False),
        ("SECRETARY", False), ("SSH_PUBLIC_KEY", False), ("POSTGRES_PASSWORD_FILE", False), ("SECRET_NAME", False),
        ("AUTH_TYPE", False), ("COOKIE_DOMAIN", False), ("KEY_FIELD", False), ("PASSWORD_MIN_LENGTH", False),
    ],
)  # fmt: skip
def test_names_say_what_is_a_secret(name: str, secret: bool) -> None:
    assert is_secret(name, "value") == secret


@pytest.mark.parametrize(
    ("value", "secret"),
    [
        ("redis://:pw@host", True),
        ("see amqp://u:p@h/v", True),
        ("http://host:80/a@b", False),
        ("http://u@host", False),
        ("u:p@host", False),
        ("Server=db;User Id=sa;Password = hunter2;", True),
        ("host=db user=u password=hunter2", True),
        ("DefaultEndpointsProtocol=https;AccountName=x;AccountKey=abc==;EndpointSuffix=x", True),
        ("Endpoint=sb://x/;SharedAccessKeyName=Root;SharedAccessKey=abc=", True),
        ("https://x.blob.core.windows.net/c?sv=1&sig=abc%3D", True),
        ("https://api.x/v1?api_key=abc", True),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE", True),
        ("-----BEGIN CERTIFICATE-----\nMIIE", False),
        ("https://x/?sig=&token=", False),
        ("password", False),
        ("no password == no entry", False),
        ("design=flat", False),
        ("is-valid-token=1", False),
    ],
)
def test_a_value_with_a_password_or_a_key_in_it_is_a_secret(value: str, secret: bool) -> None:
    assert is_secret("URL", value) == secret


def test_what_is_hidden_is_no_part_of_a_configuration(
    loader_with: Callable[[Mapping[str, str]], PipelineConfigLoader],
) -> None:
    text = 'version: "1.0"\nroutes: {a: {adapters: [{type: plain}]}}\ndescription: "x ${secret:A:x}"'
    given, defaulted = (
        loader_with({"A": "xxxx"}).load_text(text),
        loader_with({}).load_text(text.replace(":x}", ":xxxx}")),
    )
    assert given.secrets
    assert not defaulted.secrets
    assert given == defaulted
    assert hash(given) == hash(defaulted)
    for shown in (repr(given), given.to_yaml(), repr(given.to_mapping()), repr(given.model_dump())):
        assert "secrets" not in shown


@pytest.mark.parametrize("text", ["PASSWORD", "://a:", "password  ", ";pwd=", "-----BEGIN PRIVATE ", "PW1", "CONN_STR"])
def test_whether_a_value_is_a_secret_takes_linear_time(text: str) -> None:
    def asking(times: int) -> Callable[[], object]:
        return lambda: is_secret("A" + text * times, "A" + text * times)

    assert grows_at_most(10, asking(5_000), asking(20_000), slack=0.01)
