"""A proxy that counts which objects are downloaded from a GCS-speaking server."""

from collections import Counter

from aiohttp import web

from tests.support.faulty_proxy import FaultyProxy


class CountingProxy(FaultyProxy):
    """``downloads``: the name of each object whose bytes were asked for -> how often."""

    def __init__(self, server: str, port: int) -> None:
        super().__init__(server, port, seed=0, share=0)
        self.downloads: Counter[str] = Counter()

    async def _ask(self, request: web.Request) -> tuple[int, dict[str, str], bytes]:
        if request.method == "GET" and request.query.get("alt") == "media":
            self.downloads[request.path.rpartition("/")[2]] += 1
        return await super()._ask(request)
