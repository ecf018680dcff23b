import gzip
import importlib.util
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable
from functools import partial

import h11
import httpx
import pytest
import trio
from pydantic import ValidationError

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.adapters.builtin import http_request
from factflow_engine.adapters.builtin._http import HttpStatusError
from factflow_engine.adapters.builtin.http_request import HttpRequest
from factflow_engine.testing.fakes import FakeContext, open_stage, outputs
from factflow_protocols import Overloaded, Reject, RetryLater

REGISTRY = ValidatingAdapterRegistry()
Answer = tuple[int, dict[str, str], bytes]


class Server:
    """HTTP on loopback; `answer` decides, `requests` holds what came."""

    def __init__(self) -> None:
        self.requests: list[tuple[h11.Request, bytes]] = []
        self.answer: Callable[[h11.Request], Answer] = lambda _: (200, {}, b"hello")
        self.port = 0
        self.connections = 0

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def header(self, name: str) -> str | None:
        return dict(self.requests[-1][0].headers).get(name.encode(), b"").decode() or None

    async def start(self, nursery: trio.Nursery) -> None:
        listeners = await nursery.start(partial(trio.serve_tcp, self.serve, 0, host="127.0.0.1"))
        self.port = listeners[0].socket.getsockname()[1]

    async def serve(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        self.connections += 1
        async with stream:
            request, body = None, b""
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    try:
                        connection.receive_data(await stream.receive_some(65536))
                    except trio.BrokenResourceError:
                        return
                elif isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    assert request is not None
                    self.requests.append((request, body))
                    status, headers, content = self.answer(request)
                    if status == 0:  # hang up
                        return
                    if status == -1:
                        await trio.sleep_forever()
                    headers = {"content-length": str(len(content)), **headers}
                    await stream.send_all(
                        connection.send(h11.Response(status_code=status, headers=list(headers.items())))
                        + (connection.send(h11.Data(data=content)) if request.method != b"HEAD" else b"")
                        + connection.send(h11.EndOfMessage())
                    )
                    request, body = None, b""
                    if connection.our_state is h11.MUST_CLOSE:
                        return
                    connection.start_next_cycle()
                else:
                    return


@pytest.fixture
async def server(nursery, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    running = Server()
    await running.start(nursery)
    return running


async def send(tmp_path, message=None, **config):
    adapter = REGISTRY.create("http_request", config)
    await open_stage(adapter, tmp_path)
    try:
        return (await outputs(adapter, FakeContext({} if message is None else message)))[0]
    finally:
        await adapter.close()


async def test_a_response_goes_into_the_message(server, tmp_path):
    server.answer = lambda _: (200, {"Content-Type": "text/plain; charset=latin-1"}, "café".encode("latin-1"))
    message = await send(tmp_path, {"id": "a/b c"}, url=server.url("/items/{id}"))
    assert message["id"] == "a/b c"
    response = message["response"]
    assert (response["status"], response["body"]) == (200, "café")
    assert response["headers"]["content-type"] == "text/plain; charset=latin-1"
    assert server.requests[0][0].target == b"/items/a%2Fb%20c"


async def test_the_message_is_sent_as_json_with_the_headers(server, tmp_path):
    config = {"method": "POST", "body": "message", "headers": {"X-Token": "s3cret"}, "parse": "json"}
    server.answer = lambda _: (201, {}, b'{"ok": true}')
    message = await send(tmp_path, {"a": [1]}, url=server.url(), **config)
    assert message["response"]["body"] == {"ok": True}
    request, body = server.requests[0]
    assert request.method == b"POST"
    assert json.loads(body) == {"a": [1]}
    assert (server.header("x-token"), server.header("content-type")) == ("s3cret", "application/json")


async def test_one_field_can_be_the_body_and_another_take_the_response(server, tmp_path):
    config = {"method": "PUT", "body": "message", "body_field": "a.b", "response_to": "out.http", "parse": "bytes"}
    message = await send(tmp_path, {"a": {"b": "x"}}, url=server.url(), **config)
    assert server.requests[0][1] == b'"x"'
    assert message["out"]["http"]["body"] == b"hello"


async def test_head_has_no_body(server, tmp_path):
    assert (await send(tmp_path, url=server.url(), method="HEAD"))["response"]["body"] == ""


async def test_gzip_is_asked_for_and_undone(server, tmp_path):
    server.answer = lambda _: (200, {"content-encoding": "gzip"}, gzip.compress(b"x" * 1000))
    assert (await send(tmp_path, url=server.url()))["response"]["body"] == "x" * 1000
    assert server.header("accept-encoding") == "gzip"


@pytest.mark.parametrize(
    "encode", [lambda data: ({}, data), lambda data: ({"content-encoding": "gzip"}, gzip.compress(data))]
)
async def test_a_body_too_long_is_rejected(server, tmp_path, encode):
    headers, wire = encode(b"x" * 1001)
    server.answer = lambda _: (200, headers, wire)
    with pytest.raises(Reject, match=r"more than max_response_bytes \(1000\)"):
        await send(tmp_path, url=server.url(), max_response_bytes=1000)


async def test_a_body_of_another_kind_is_rejected(server, tmp_path):
    with pytest.raises(Reject, match="cannot be read as json"):
        await send(tmp_path, url=server.url(), parse="json")


@pytest.mark.parametrize("charset", ["klingon", "punycode", "idna", "utf-7", "unicode_escape", "hex", "a" * 1000])
async def test_a_charset_that_is_not_decoded_is_rejected(server, tmp_path, charset):
    server.answer = lambda _: (
        200,
        {"content-type": f"text/plain; charset={charset}"},
        b"a" * 1000 + b"-" + b"b" * 1000,
    )
    with pytest.raises(Reject, match=r"cannot be read as text: unknown charset .*parse: bytes"):
        await send(tmp_path, url=server.url())
    assert len((await send(tmp_path, url=server.url(), parse="bytes"))["response"]["body"]) == 2001


@pytest.mark.parametrize(("length", "off_the_loop"), [(65_536, False), (65_537, True)])
async def test_a_long_body_is_read_off_the_loop(server, tmp_path, monkeypatch, length, off_the_loop):
    loop, places = threading.get_ident(), []
    parsed = HttpRequest._parsed

    def noted(*args):
        places.append(threading.get_ident() != loop)
        return parsed(*args)

    monkeypatch.setattr(HttpRequest, "_parsed", noted)
    server.answer = lambda _: (200, {"content-type": "text/plain"}, b"x" * length)
    assert (await send(tmp_path, url=server.url()))["response"]["body"] == "x" * length
    assert places == [off_the_loop]


async def test_a_content_type_of_many_parameters_costs_little(server, tmp_path):
    server.answer = lambda _: (200, {"content-type": 'text/plain;"' + ";" * 80_000}, b"hello")
    before = time.thread_time()
    assert (await send(tmp_path, url=server.url()))["response"]["body"] == "hello"
    assert time.thread_time() - before < 2


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (404, {}, Reject),
        (500, {}, HttpStatusError),
        (429, {"retry-after": "7"}, RetryLater),
        (302, {"location": "/elsewhere"}, Reject),
    ],
)
async def test_statuses_instruct_the_engine_and_errors_keep_secrets(server, tmp_path, status, headers, expected):
    server.answer = lambda _: (status, headers, b"body")
    with pytest.raises(expected) as caught:
        await send(tmp_path, {"k": "query-secret"}, url=server.url("/x?key={k}"), headers={"X-Token": "s3cret"})
    text = f"{caught.value!r} {caught.value}"
    assert f"GET {server.url('/x')} answered {status}" in text
    assert "query-secret" not in text
    assert "s3cret" not in text
    if expected is RetryLater:
        assert caught.value.delay_seconds == 7


async def test_a_status_may_be_an_answer(server, tmp_path):
    server.answer = lambda _: (404, {}, b"none")
    assert (await send(tmp_path, url=server.url(), answers=[404]))["response"]["status"] == 404


async def test_redirects_are_followed_if_asked(server, tmp_path):
    server.answer = lambda request: (
        (302, {"location": "/there"}, b"") if request.target == b"/here" else (200, {}, b"arrived")
    )
    message = await send(tmp_path, url=server.url("/here"), redirects="follow", headers={"X-Token": "s3cret"})
    assert (message["response"]["body"], message["response"]["url"]) == ("arrived", server.url("/there"))
    assert server.header("x-token") == "s3cret"


async def test_a_circle_of_redirects_ends(server, tmp_path):
    server.answer = lambda _: (302, {"location": "/again"}, b"")
    with pytest.raises(Reject, match="redirects more than 10 times"):
        await send(tmp_path, url=server.url(), redirects="follow")
    assert len(server.requests) == 11


async def test_a_redirect_to_another_host_needs_to_be_allowed_and_carries_no_secret(server, tmp_path):
    elsewhere = f"http://localhost:{server.port}/there"
    server.answer = lambda request: (
        (302, {"location": elsewhere}, b"") if request.target == b"/here" else (200, {}, b"arrived")
    )
    config = {"url": server.url("/here"), "redirects": "follow", "headers": {"X-Token": "s3cret"}}
    with pytest.raises(Reject, match="'localhost' is not in allowed_hosts"):
        await send(tmp_path, **config)
    assert len(server.requests) == 1
    message = await send(tmp_path, allowed_hosts=["127.0.0.1", "localhost"], **config)
    assert message["response"]["body"] == "arrived"
    assert server.header("x-token") is None


async def test_a_redirect_to_another_port_carries_no_secret(server, nursery, tmp_path):
    other = Server()
    await other.start(nursery)
    server.answer = lambda _: (302, {"location": other.url("/there")}, b"")
    config = {"url": server.url("/here"), "redirects": "follow", "headers": {"X-Token": "s3cret", "Authorization": "s"}}
    assert (await send(tmp_path, **config))["response"]["body"] == "hello"
    assert server.header("x-token") == "s3cret"
    assert (other.header("x-token"), other.header("authorization")) == (None, None)


@pytest.mark.parametrize(
    ("asked", "following", "same"),
    [
        ("http://a.example/x", "http://a.example:80/y", True),
        ("http://a.example/x", "https://a.example/y", True),
        ("https://a.example/x", "http://a.example/y", False),
        ("http://a.example:8080/x", "https://a.example/y", False),
        ("http://a.example/x", "https://a.example:8443/y", False),
        ("http://a.example/x", "http://b.example/y", False),
    ],
)
def test_headers_go_to_the_origin_that_was_asked(asked, following, same):
    assert http_request._is_same_server(httpx.URL(asked), httpx.URL(following)) is same


@pytest.mark.parametrize(("config", "sent"), [({}, 0), ({"cookies": "keep"}, 300)])
async def test_cookies_are_kept_only_if_asked_and_few(server, tmp_path, config, sent):
    numbers = itertools.count()
    server.answer = lambda _: (200, {"set-cookie": f"c{next(numbers)}=v; Path=/"}, b"")
    adapter = REGISTRY.create("http_request", {"url": server.url(), **config})
    await open_stage(adapter, tmp_path)
    for _ in range(305):
        await outputs(adapter, FakeContext({}))
    cookies = server.header("cookie")
    assert len(cookies.split("; ") if cookies else []) == sent
    await adapter.close()


async def test_a_redirect_to_another_scheme_is_rejected(server, tmp_path):
    server.answer = lambda _: (302, {"location": "file:///etc/passwd"}, b"")
    with pytest.raises(Reject, match=f"GET {server.url()}/? redirects elsewhere: the URL must be http or https"):
        await send(tmp_path, url=server.url(), redirects="follow", allowed_hosts=["*"])


async def test_a_message_may_bring_the_url_of_an_allowed_host(server, tmp_path):
    config = {"url": "{link}", "allowed_hosts": ["127.0.0.1"]}
    assert (await send(tmp_path, {"link": server.url()}, **config))["response"]["status"] == 200
    for link in ("http://localhost/", "http://127.0.0.1@evil.example/", "file:///x"):
        with pytest.raises(Reject):
            await send(tmp_path, {"link": link}, **config)


async def test_a_connection_that_breaks_fails_the_attempt(server, tmp_path):
    server.answer = lambda _: (0, {}, b"")
    with pytest.raises(ConnectionError, match="got no answer: RemoteProtocolError"):
        await send(tmp_path, url=server.url())


async def test_a_server_that_is_not_there_is_named_with_the_systems_reason(tmp_path):
    with socket.socket() as taken:  # bound, but not listening
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ConnectionError, match=rf"GET http://127.0.0.1:{port}/ got no answer: connection refused$"):
            await send(tmp_path, url=f"http://127.0.0.1:{port}/?token=secret")


async def test_an_answer_that_does_not_come_in_time_fails_the_attempt(server, tmp_path, autojump_clock):
    server.answer = lambda _: (-1, {}, b"")
    autojump_clock.autojump_threshold = 0.2
    with pytest.raises(TimeoutError, match=r"longer than timeout_seconds \(20\)") as caught:
        await send(tmp_path, url=server.url(), timeout_seconds=20)
    assert isinstance(caught.value, Overloaded)


async def test_cancellation_passes(server, tmp_path):
    server.answer = lambda _: (-1, {}, b"")
    adapter = REGISTRY.create("http_request", {"url": server.url()})
    await open_stage(adapter, tmp_path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outputs, adapter, FakeContext({}))
        while not server.requests:
            await trio.sleep(0)
        nursery.cancel_scope.cancel()
    assert nursery.cancel_scope.cancelled_caught
    await adapter.close()


async def test_connections_are_used_again(server, tmp_path):
    adapter = REGISTRY.create("http_request", {"url": server.url()})
    await open_stage(adapter, tmp_path)
    server.answer = lambda _: (200, {}, b"x" * 100_000)
    for _ in range(3):
        await outputs(adapter, FakeContext({}))
    await adapter.close()
    assert (len(server.requests), server.connections) == (3, 1)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"url": "{link}"}, "name the hosts that may be called in allowed_hosts"),
        ({"url": "https://{host}/"}, "name the hosts that may be called in allowed_hosts"),
        ({"url": "ftp://x/"}, "must begin with http"),
        ({"url": "https://x/", "body_field": "a"}, "write body: message"),
        ({"url": "https://x/", "answers": [200]}, "greater than or equal to 300"),
        ({"url": "https://x/", "timeout_seconds": 0}, "greater than 0"),
    ],
)
def test_a_wrong_configuration_is_refused(config, problem):
    with pytest.raises(ValidationError, match=problem):
        REGISTRY.validate_config("http_request", config)


def test_a_missing_httpx_is_a_finding_that_says_what_to_install(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "httpx" else real(name, *rest))
    with pytest.raises(ValidationError, match=r"pip install 'factflow-engine\[http\]'"):
        REGISTRY.validate_config("http_request", {"url": "https://x/"})


def test_secrets_do_not_show_in_a_config():
    config = REGISTRY.validate_config("http_request", {"url": "https://x/", "headers": {"X-Token": "s3cret"}})
    assert "s3cret" not in f"{config!r} {config} {config.model_dump_json()}"
