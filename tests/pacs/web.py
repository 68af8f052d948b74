"""A DICOMweb server whose answers are the test's own: what no well-behaved archive says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext

JSON = "application/dicom+json"

Answer = tuple[int, dict[str, str], bytes]


class WebNode:
    """Answers each request with what `answer(path, body)` returns: status, header fields and body."""

    def __init__(self, answer: Callable[[str, bytes], Answer], tls: SSLContext | None = None) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        node = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None:
                return

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                node.asked.append((self.path, dict(self.headers), body))
                status, fields, content = answer(self.path, body)
                if not status:
                    return  # hangs up without a word
                self.send_response(status)
                for name, value in {**fields, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"dicomweb{'' if tls is None else 's'}://127.0.0.1:{self.port}/pacs"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> WebNode:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
