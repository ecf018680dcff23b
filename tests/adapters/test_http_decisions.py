import errno
import gzip
import pickle
import socket
import ssl
import time
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.adapters.builtin._http import (
    BoundedBody,
    HttpStatusError,
    UrlTemplate,
    check_origin,
    connection_problem,
    judge,
    retry_after_seconds,
)
from factflow_engine.resilience.overload import is_overload
from factflow_protocols import FactflowError, Reject, RetryLater


@given(st.text(min_size=1, max_size=30))
def test_no_field_can_change_where_a_url_leads(text):
    template = UrlTemplate("https://api.example/items/{id}?q={id}")
    try:
        parts = urlsplit(template.fill({"id": text}))
    except Reject:
        assert text in {".", ".."}
    else:
        assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "api.example", "")
        assert parts.path.startswith("/items/")
        assert parts.path.count("/") == 2
        assert "&" not in parts.query


@pytest.mark.parametrize(
    ("template", "decides"),
    [
        ("https://api.example/{id}", False),
        ("https://api.example?x={id}", False),
        ("https://api.example", False),
        ("https://{host}/x", True),
        ("https://api.{domain}/x", True),
        ("https://api.example{rest}", True),
        ("{url}", True),
    ],
)
def test_who_decides_the_host(template, decides):
    assert UrlTemplate(template).message_decides_host is decides


@pytest.mark.parametrize(
    "template", ["ftp://x/y", "/path", "{scheme}://x", "https://x/{", "https://x/}", "https://x/{a..b}"]
)
def test_a_template_that_makes_no_url_is_refused(template):
    with pytest.raises(ValueError, match=r"url|field path"):
        UrlTemplate(template)


@pytest.mark.parametrize("value", [None, True, [1], {"a": 1}])
def test_only_text_and_numbers_go_into_a_url(value):
    with pytest.raises(Reject, match="text or a number"):
        UrlTemplate("https://x/{a}").fill({"a": value})


@pytest.mark.parametrize(("scheme", "host"), [("file", "x"), ("ftp", "x"), ("", "x"), ("https", "")])
def test_only_http_is_spoken(scheme, host):
    with pytest.raises(Reject, match="must be http or https"):
        check_origin(scheme, host, None)


def test_hosts_are_allowed_by_name():
    check_origin("https", "API.example", ("api.example",))
    check_origin("https", "other", ("*",))
    with pytest.raises(Reject, match="not in allowed_hosts"):
        check_origin("https", "api.example.evil", ("api.example",))


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {}, None),
        (204, {}, None),
        (301, {}, Reject),
        (400, {}, Reject),
        (404, {}, Reject),
        (408, {}, HttpStatusError),
        (425, {}, HttpStatusError),
        (429, {}, HttpStatusError),
        (429, {"retry-after": "3"}, RetryLater),
        (500, {"retry-after": "3"}, HttpStatusError),
        (503, {"retry-after": "3"}, RetryLater),
        (503, {"retry-after": "soon"}, HttpStatusError),
        (599, {}, HttpStatusError),
        (100, {}, Reject),
    ],
)
def test_what_a_status_means(status, headers, expected):
    if expected is None:
        judge("GET x", status, headers, max_delay_seconds=60)
    else:
        with pytest.raises(expected, match=str(status)):
            judge("GET x", status, headers, max_delay_seconds=60)


@pytest.mark.parametrize(("status", "headers", "expected"), [
    (429, {}, True), (503, {}, True), (429, {"retry-after": "3"}, True), (503, {"retry-after": "3"}, True),
    (408, {}, False), (500, {"retry-after": "3"}, False), (404, {}, False),
])  # fmt: skip
def test_a_server_that_has_too_much_to_do_is_overloaded(status, headers, expected):
    with pytest.raises(FactflowError) as caught:
        judge("GET x", status, headers, max_delay_seconds=60)
    assert is_overload(caught.value) is expected
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (type(caught.value), str(caught.value))
    if headers and expected:
        assert str(again) == f"retry in 3.0 s: GET x answered {status}"
        assert (again.delay_seconds, again.retry_after, again.reason) == (3, 3, f"GET x answered {status}")


def test_a_server_cannot_ask_for_a_longer_wait_than_granted():
    with pytest.raises(RetryLater) as caught:
        judge("GET x", 429, {"retry-after": "99999999999999999999"}, max_delay_seconds=60)
    assert caught.value.delay_seconds == 60


def test_a_date_is_relative_to_the_responses_own():
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert retry_after_seconds({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": date}) == 30
    assert retry_after_seconds({"retry-after": "Wed, 21 Oct 2015 07:00:00 GMT", "date": date}) == 0
    assert retry_after_seconds({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}) is None


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_retry_after_breaks_anything(value, date):
    delay = retry_after_seconds({"retry-after": value, "date": date})
    assert delay is None or delay >= 0


@given(st.binary(max_size=200), st.integers(1, 50), st.integers(0, 200), st.booleans())
def test_a_body_is_whole_or_refused(data, step, limit, zipped):
    wire = gzip.compress(data, mtime=0) if zipped else data
    body = BoundedBody("GET x", "gzip" if zipped else "", limit)
    try:
        for start in range(0, len(wire), step):
            body.feed(wire[start : start + step])
        assert body.finish() == data
        assert len(data) <= limit
    except Reject:
        assert len(data) > limit


@given(
    st.lists(st.binary(max_size=40), min_size=1, max_size=5), st.integers(1, 50), st.integers(0, 9), st.integers(0, 100)
)
def test_every_gzip_member_is_read(members, step, padding, limit):
    wire = b"".join(gzip.compress(member, mtime=0) for member in members) + bytes(padding)
    body = BoundedBody("GET x", "gzip", limit)
    try:
        for start in range(0, len(wire), step):
            body.feed(wire[start : start + step])
        assert body.finish() == b"".join(members)
    except Reject:
        assert sum(map(len, members)) > limit


@pytest.mark.parametrize(
    ("endless", "problem"),
    [
        (bytes(1 << 20), "far longer than its content"),
        (b"x" * (1 << 20), "damaged gzip body"),
        (gzip.compress(b"") * 50_000, "far longer than its content"),
    ],
)
def test_bytes_behind_a_member_are_bounded(endless, problem):
    body = BoundedBody("GET x", "gzip", 1000)
    body.feed(gzip.compress(b"ok"))
    with pytest.raises(Reject, match=problem):
        body.feed(endless)


def test_members_of_nothing_are_bounded():
    body = BoundedBody("GET x", "gzip", 1_000_000_000)
    before = time.process_time()
    with pytest.raises(Reject, match="more than 100000 gzip members"):
        for _ in range(100):
            body.feed(gzip.compress(b"") * 10_000)
    assert time.process_time() - before < 30  # a second or so; the square of a chunk would be minutes


def test_a_bomb_is_refused_before_it_is_inflated():
    body = BoundedBody("GET x", "gzip", 1000)
    with pytest.raises(Reject, match="more than max_response_bytes"):
        body.feed(gzip.compress(bytes(100_000_000)))
    assert len(body._body) == 1001


@pytest.mark.parametrize("wire", [b"not gzip at all", gzip.compress(b"x" * 1000, mtime=0)[:-20]])
def test_a_damaged_body_is_rejected(wire):
    body = BoundedBody("GET x", "gzip", 10_000)

    def read():
        body.feed(wire)
        return body.finish()

    with pytest.raises(Reject, match="gzip body"):
        read()


def test_an_encoding_that_was_not_asked_for_is_rejected():
    with pytest.raises(Reject, match="only gzip was asked for"):
        BoundedBody("GET x", "br", 10)


def test_a_number_of_seconds_is_read_whole():
    assert retry_after_seconds({"retry-after": "0000000000120"}) == 120


def test_a_field_too_long_for_a_url_is_rejected():
    with pytest.raises(Reject, match="too long for a url"):
        UrlTemplate("https://a.example/{id}").fill({"id": "x" * 65_537})


def chained(error, cause):
    error.__cause__ = cause
    return error


def verification(text):
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = text
    return error


def itself():
    error = RuntimeError()
    error.__context__ = error
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("https://u:secret@x/"), "RuntimeError"),
        (chained(RuntimeError(), OSError(errno.ECONNRESET, "/secret")), "connection reset by peer"),
        (
            chained(RuntimeError(), socket.gaierror(-2, "Name or service not known")),
            "host not found: Name or service not known",
        ),
        (
            chained(
                RuntimeError(), chained(OSError("all failed"), ExceptionGroup("", [OSError(errno.ECONNREFUSED, "")]))
            ),
            "connection refused",
        ),
        (
            chained(RuntimeError(), verification("self-signed certificate")),
            "certificate not accepted: self-signed certificate",
        ),
        (itself(), "RuntimeError"),
    ],
)
def test_a_broken_exchange_is_named_by_the_systems_reason(error, expected):
    assert connection_problem(error) == expected
