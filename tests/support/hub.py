"""A server that speaks the Hugging Face hub's protocol, as far as its client asks: one repository, one commit."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

NAME, COMMIT = "org/teacher", "c0ffee" + "0" * 34
WEIGHTS = ".safetensors"  # which the hub keeps in LFS, and so knows the SHA-256 of


class Hub(ThreadingHTTPServer):
    """Serves ``files`` (path -> content) as org/teacher, whose branch "main" is COMMIT.

    ``downloads``: path -> how often it was asked for.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.downloads = files, Counter[str]()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def describe(self) -> dict[str, object]:
        """Describe the repository as GET /api/models/… does, with ?blobs=true."""
        siblings = []
        for name, data in self.files.items():
            sibling = {"rfilename": name, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
            if name.endswith(WEIGHTS):
                sibling["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 1}
            siblings.append(sibling)
        return {"id": NAME, "sha": COMMIT, "siblings": siblings}

    def list_tree(self) -> list[dict[str, object]]:
        """List the repository's files as GET /api/models/…/tree/… does."""
        return [
            {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for name, data in self.files.items()
        ]


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        for revision in ("main", COMMIT):
            if self.path.partition("?")[0] == f"/api/models/{NAME}/revision/{revision}":
                return self._send(json.dumps(self.server.describe()).encode())
            if self.path.partition("?")[0] == f"/api/models/{NAME}/tree/{revision}":
                return self._send(json.dumps(self.server.list_tree()).encode())
            name = self.path.removeprefix(f"/{NAME}/resolve/{revision}/")
            if name in self.server.files:
                self.server.downloads[name] += self.command == "GET"
                return self._send(self.server.files[name])
        missing = "RevisionNotFound" if self.path.startswith(f"/api/models/{NAME}/") else "RepoNotFound"
        return self._send(b"{}", 404, {"X-Error-Code": missing})

    do_HEAD = do_GET

    def _send(self, data: bytes, status: int = 200, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        headers = {"Content-Length": str(len(data)), "X-Repo-Commit": COMMIT, **(more or {})}
        headers["ETag"] = f'"{hashlib.sha256(data).hexdigest()}"'
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve_hub(files: dict[str, bytes]) -> Iterator[Hub]:
    """Serve a repository until the block ends."""
    with Hub(files) as hub:
        thread = Thread(target=hub.serve_forever)
        thread.start()
        yield hub
        hub.shutdown()
        thread.join()
