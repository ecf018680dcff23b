"""`http_request`: one HTTP request for each message, with the response added to the message.

The client is httpx, an optional dependency: it is imported when a stage opens, and its absence is a finding of the
configuration that needs it.
"""

import contextlib
import importlib
import importlib.util
import json
from typing import Annotated, Any, ClassVar, Final, Literal, Self

import trio
from pydantic import Field, SecretStr, model_validator

from factflow_engine.adapters.builtin._charsets import charset_parameter, find_charset
from factflow_engine.adapters.builtin._config import BuiltinConfig, explained
from factflow_engine.adapters.builtin._http import (
    BoundedBody,
    FewCookies,
    HttpTimeoutError,
    NoCookies,
    UrlTemplate,
    check_origin,
    connection_problem,
    judge,
)
from factflow_engine.adapters.builtin._json import json_text
from factflow_engine.field_names import FieldName
from factflow_engine.field_paths import FieldPath, require_map
from factflow_engine.seams import TrioThreads
from factflow_protocols import AdapterResult, PipelineContext, Reject, StageInfo, StatefulAdapter

EXTRA: Final = "http"
MAX_REDIRECTS: Final = 10
DECODED_ON_THE_LOOP_BYTES: Final = 65_536
INSTALL: Final = f"python -m pip install 'factflow-engine[{EXTRA}]'"


class HttpRequestConfig(BuiltinConfig):
    """The request, and the bounds of its response."""

    url: str = Field(min_length=1, max_length=8192)
    """URL to request. `{field}` is replaced by a field of the message, percent-encoded:
    `https://api.example/items/{id}`. `"{url}"` alone takes the whole URL from the message; `allowed_hosts` must then be
    given."""
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    """The request's method."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Headers of the request. Their values never appear in an error or a log."""
    body: Literal["none", "message"] = "none"
    """`message` sends the message as JSON; `none` sends no body."""
    body_field: FieldName | None = None
    """With `body: message`: the field to send in place of the whole message."""
    response_to: FieldName = "response"
    """Field of the message that receives `{status, url, headers, body}`; header names are in lower case."""
    parse: Literal["text", "json", "bytes"] = "text"
    """Form of the response's body in the message. Text is decoded by the charset that the response names, else
    UTF-8."""
    answers: tuple[Annotated[int, Field(ge=300, le=599)], ...] = ()
    """Statuses besides 2xx that are answers to pass on, such as 404, not errors."""
    allowed_hosts: tuple[str, ...] | None = None
    """Hosts that may be called. Needed where a message decides the host; `"*"` allows any. Redirects to another host
    are followed only to a host named here."""
    redirects: Literal["refuse", "follow"] = "refuse"
    """Treatment of redirects: `follow` follows at most 10. `headers` go along only to the origin that was asked (scheme,
    host and port), or from http to https of the same host."""
    cookies: Literal["none", "keep"] = "none"
    """Treatment of cookies: `none` sends none that a server has set; `keep` sends them with later requests of the stage,
    whatever message they are of, at most 300 of 4 KiB."""
    timeout_seconds: float = Field(default=30.0, gt=0, le=3600)
    """Longest duration of the whole exchange, in seconds; then the attempt fails."""
    max_response_bytes: int = Field(default=10_485_760, ge=1, le=1_073_741_824)
    """Longest body, in bytes after decompression; a longer one rejects the message."""
    max_retry_after_seconds: float = Field(default=3600.0, ge=0, le=86_400)
    """Longest wait that a server's Retry-After may ask for, in seconds."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if importlib.util.find_spec("httpx") is None:
            raise explained(f"http_request needs the extra {EXTRA!r}: httpx is not installed", INSTALL, "E309")
        if UrlTemplate(self.url).message_decides_host and self.allowed_hosts is None:
            raise ValueError(
                "messages decide which host this url leads to; name the hosts that may be called in allowed_hosts, "
                'or allow any with allowed_hosts: ["*"]'
            )
        if self.body_field is not None and self.body == "none":
            raise ValueError("body_field names what to send, but body is none; write body: message")
        return self


class HttpRequest(StatefulAdapter):
    """Adapter that sends a request for each message and adds the response to it.

    2xx is an answer. 429 and 503 with Retry-After wait that long without spending an attempt; other 5xx, 408, 425 and
    429 fail the attempt, as do broken connections and time-outs; every other status rejects the message. 429, 503 and
    time-outs tell a concurrency limit (`backpressure`) that the server is overloaded. Proxies are taken from the
    environment. A request may be sent more than once: make it idempotent, by the message's id if need be.
    """

    config_model: ClassVar[type[Any] | None] = HttpRequestConfig
    summary: ClassVar[str] = "Send an HTTP request for each message and put the response into it."
    requires_extra: ClassVar[str] = EXTRA
    keeps_state: ClassVar[bool | None] = False  # connections, which another process opens anew

    def __init__(self, config: HttpRequestConfig) -> None:
        self._config = config
        self._url = UrlTemplate(config.url)
        self._hosts = None if config.allowed_hosts is None else tuple(host.lower() for host in config.allowed_hosts)
        self._body_field = FieldPath(config.body_field) if config.body_field is not None else None
        self._response_to = FieldPath(config.response_to)
        self._threads = TrioThreads(limit=2)  # for reading long bodies, which is work for a processor
        self._httpx: Any = None
        self._client: Any = None

    async def open(self, stage: StageInfo) -> None:  # noqa: ARG002 - a client is the same wherever it stands
        """Make the client; the first requests open connections, later ones reuse them."""
        self._httpx = importlib.import_module("httpx")
        headers = {name: value.get_secret_value() for name, value in self._config.headers.items()}
        names = {name.lower() for name in headers}
        if "accept-encoding" not in names:
            headers["accept-encoding"] = "gzip"
        self._client = self._httpx.AsyncClient(
            headers=headers,
            cookies=FewCookies().jar if self._config.cookies == "keep" else NoCookies(),
            timeout=None,  # one deadline covers the whole exchange, see process
            follow_redirects=False,  # each hop is checked first, see _next_hop
            limits=self._httpx.Limits(max_connections=None, max_keepalive_connections=100),
        )

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Send the request and read the response.

        Raises:
            Reject: The message is not a map or lacks a field that the request needs, the host is not allowed, or the
            answer can never be used: most 4xx, redirects that are not followed, a body that is too long or malformed.
            RetryLater: The server asks for a later attempt: an `Overloaded`, too.
            ConnectionError: There was no answer.
            TimeoutError: The answer was late: an `Overloaded`, too.
            HttpStatusError: 5xx, 408, 425 or 429; of these 503 and 429 are an `Overloaded`, too.

        Cancellation: closes the request's connection; the server may have acted on the request.
        """
        message = require_map(context.message, "http_request")
        request = self._request(message)
        # Neither query nor user name: either may be a secret.
        where = f"{request.method} {request.url.copy_with(query=None, fragment=None, userinfo=b'')}"
        try:
            with trio.fail_after(self._config.timeout_seconds):
                response = await self._exchange(where, request)
        except trio.TooSlowError:
            raise HttpTimeoutError(where, self._config.timeout_seconds) from None
        except self._httpx.HTTPError as error:
            # The client's own text may contain the whole URL, or a header that it could not send.
            raise ConnectionError(f"{where} got no answer: {connection_problem(error)}") from None
        self._response_to.set(message, response)
        return AdapterResult(message=message)

    def _request(self, message: dict[str, Any]) -> Any:
        try:
            url = self._httpx.URL(self._url.fill(message))
        except self._httpx.InvalidURL as error:
            raise Reject(f"the message makes a URL that is none: {error}") from error
        check_origin(url.scheme, url.host, self._hosts)
        if self._config.body == "none":
            return self._client.build_request(self._config.method, url)
        value = message if self._body_field is None else self._body_field.require(message)
        request = self._client.build_request(self._config.method, url, content=json_text(value).encode())
        request.headers.setdefault("content-type", "application/json")
        return request

    async def _exchange(self, where: str, request: Any) -> dict[str, Any]:
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._client.send(request, stream=True)
            if response.next_request is None or self._config.redirects == "refuse":
                return await self._answer(where, response)
            await response.aclose()
            request = self._next_hop(where, request, response.next_request)
        raise Reject(f"{where} redirects more than {MAX_REDIRECTS} times")

    def _next_hop(self, where: str, request: Any, following: Any) -> Any:
        same_host = following.url.host == request.url.host
        if not (same_host and following.url.scheme in {request.url.scheme, "https"}):
            try:
                check_origin(following.url.scheme, following.url.host, self._hosts or ())
            except Reject as error:
                raise Reject(f"{where} redirects elsewhere: {error.reason}") from error
        if not _is_same_server(request.url, following.url):
            for name in self._config.headers:
                following.headers.pop(name, None)
        return following

    async def _answer(self, where: str, response: Any) -> dict[str, Any]:
        config = self._config
        try:
            status: int = response.status_code
            if status not in config.answers:
                judge(where, status, response.headers, max_delay_seconds=config.max_retry_after_seconds)
            body = BoundedBody(where, response.headers.get("content-encoding", "").lower(), config.max_response_bytes)
            await _read(response, body)
            return {
                "status": status,
                "url": str(response.url),
                "headers": dict(response.headers.items()),
                "body": await self._read_as(where, body.finish(), response.headers.get("content-type", "")),
            }
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await response.aclose()

    async def _read_as(self, where: str, body: bytes, content_type: str) -> Any:
        if self._config.parse == "bytes":
            return body
        charset = "utf-8"
        if self._config.parse == "text":
            named = charset_parameter(content_type)
            known = find_charset(named) if named is not None else charset
            if known is None:
                raise Reject(
                    f"{where} answered with a body that cannot be read as text: unknown charset {named!r:.60}; "
                    "set parse: bytes to take it as it is"
                )
            charset = known
        if len(body) <= DECODED_ON_THE_LOOP_BYTES:
            return self._parsed(where, body, charset)
        return await self._threads.run(lambda: self._parsed(where, body, charset))

    def _parsed(self, where: str, body: bytes, charset: str) -> Any:
        try:
            return json.loads(body) if self._config.parse == "json" else body.decode(charset, "replace")
        except (ValueError, RecursionError) as error:
            raise Reject(
                f"{where} answered with a body that cannot be read as {self._config.parse}: {error}"
            ) from error


def _is_same_server(asked: Any, following: Any) -> bool:
    """True if headers for `asked` may be sent to `following`: the same origin, or https of the host asked by http."""
    if (asked.scheme, asked.host, _port(asked)) == (following.scheme, following.host, _port(following)):
        return True
    is_upgrade = (asked.scheme, _port(asked), following.scheme, _port(following)) == ("http", 80, "https", 443)
    return is_upgrade and asked.host == following.host


def _port(url: Any) -> int:
    port: int | None = url.port
    return port or {"http": 80, "https": 443}.get(url.scheme, 0)


async def _read(response: Any, body: BoundedBody) -> None:
    chunks = response.aiter_raw()
    try:
        async for chunk in chunks:
            body.feed(chunk)
    except Reject:
        # The client's nested generators only end when they are exhausted: with the connection closed, they yield what
        # was read ahead and then raise.
        await response.aclose()
        with contextlib.suppress(importlib.import_module("httpx").HTTPError):
            async for _ in chunks:
                pass
        raise
