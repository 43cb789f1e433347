"""A reverse proxy that answers some requests badly. The seed and the order of the requests decide which, and how."""

import asyncio
import random
import threading
from collections import Counter
from typing import Self

from aiohttp import ClientSession, ClientTimeout, web
from yarl import URL

NOT_PASSED_ON = {"transfer-encoding", "connection", "content-length", "content-encoding", "keep-alive"}
FAULTS = ("503", "429", "cut", "delayed", "hung")


class FaultyProxy:
    """Answer a ``share`` of the requests with one of ``faults``, or all of them with ``mode`` "hang" or "refuse".

    503 and 429 are sent without asking the server. A cut answer ends in the middle of its body, or before its
    first byte, although the server has done what it was asked to do. A hung answer never comes.
    """

    def __init__(self, server: str, port: int, seed: int, share: float = 0.1, faults: tuple[str, ...] = FAULTS) -> None:
        self.server, self.port, self.share, self.faults = server, port, share, faults
        self.mode = "pass"
        self.met: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(300)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._session = ClientSession(auto_decompress=False, timeout=ClientTimeout(total=None))
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def _end(self) -> None:
        await self._session.close()
        await self._runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _fault(self) -> str:
        if self.mode != "pass":
            return {"hang": "hung", "refuse": "503"}[self.mode]
        return self._random.choice(self.faults) if self._random.random() < self.share else "none"

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        fault = self._fault()
        self.met[fault] += 1
        if fault == "hung":
            await asyncio.sleep(3600)  # ends when the client leaves
        if fault in ("503", "429"):
            return web.Response(status=int(fault), text="try again later")
        if fault == "delayed":
            await asyncio.sleep(0.3)
        status, headers, body = await self._ask(request)
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = int(headers["Content-Length"]) if request.method == "HEAD" else len(body)
        if fault == "cut":
            if len(body) > 1:
                await response.prepare(request)
                await response.write(body[: len(body) // 2])
            assert request.transport
            request.transport.close()
            return response
        await response.prepare(request)
        await response.write(body) if body else None
        return response

    async def _ask(self, request: web.Request) -> tuple[int, dict[str, str], bytes]:
        data = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() != "transfer-encoding"}
        url = URL(self.server + request.raw_path, encoded=True)
        async with self._session.request(
            request.method, url, data=data, headers=headers, allow_redirects=False
        ) as answer:
            body = await answer.read()
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in NOT_PASSED_ON}
            if request.method == "HEAD":
                kept["Content-Length"] = answer.headers.get("Content-Length", "0")
            if "Content-Encoding" in answer.headers:
                kept["Content-Encoding"] = answer.headers["Content-Encoding"]
            return answer.status, kept, body
