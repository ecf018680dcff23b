"""An HTTP endpoint for tests, on loopback, that answers as it is told."""

from functools import partial

import trio


class Endpoint:
    """An endpoint: answers with the given statuses in turn, then with 200.

    `"hang"` in place of a status: no answer; `"close"`: the connection ends without one.
    """

    def __init__(self, answers=(), *, headers="", body=b"no  thanks\n") -> None:
        self.answers = list(answers)
        self.headers = headers
        self.body = body
        self.requests: list[tuple[str, bytes]] = []
        self.port = 0

    @classmethod
    async def started(cls, nursery, answers=(), **options):
        endpoint = cls(answers, **options)
        listeners = await nursery.start(partial(trio.serve_tcp, endpoint._serve, 0, host="127.0.0.1"))
        endpoint.port = listeners[0].socket.getsockname()[1]
        return endpoint

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1/lineage"

    async def _serve(self, stream: trio.SocketStream) -> None:
        data = b""
        try:
            while True:
                while b"\r\n\r\n" not in data:
                    part = await stream.receive_some()
                    if not part:
                        return
                    data += part
                head, _, data = data.partition(b"\r\n\r\n")
                fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
                length = int({name.lower(): value for name, value in fields.items()}["content-length"])
                while len(data) < length:
                    data += await stream.receive_some()
                body, data = data[:length], data[length:]
                self.requests.append((head.decode(), body))
                answer = self.answers.pop(0) if self.answers else 200
                if answer == "close":
                    return
                if answer == "hang":
                    await trio.sleep_forever()
                text = f"HTTP/1.1 {answer} Said\r\nContent-Length: {len(self.body)}\r\n{self.headers}\r\n"
                await stream.send_all(text.encode() + self.body)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        finally:
            await trio.aclose_forcefully(stream)
