"""An HTTP server on this machine that serves files from memory, as badly as it is told to."""

import re
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer(ThreadingHTTPServer):
    """``files`` by path; ``faults[path]`` are answers that are used up first, one for each request.

    A fault is called with (handler, content, first byte that is asked for). ``requests`` lists (path, Range or None).
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.faults, self.requests = {}, defaultdict(list), []
        self.default = serve
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def stop(self):
        self.closing.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """Clients that leave are no error here."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = re.sub(r"^http://[^/]*", "", self.path)
        span = self.headers.get("Range")
        self.server.requests.append((self.path, span))
        self.close_connection = True
        content = self.server.files.get(path)
        faults = self.server.faults[path]
        if content is None and not faults:
            status(404)(self, b"", 0)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", span)[1]) if span else 0
        (faults.pop(0) if faults else self.server.default)(self, content, start)

    def begin(self, code, length=None, **headers):
        self.send_response(code)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_):
        pass


def serve(handler, content, start, upto=None, **headers):
    """What a good server does; the body ends before byte ``upto``."""
    if start and start >= len(content):
        handler.begin(416, 0, Content_Range=f"bytes */{len(content)}")
        return
    if start:
        headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    handler.begin(206 if start else 200, len(content) - start, **headers)
    handler.wfile.write(content[start:upto])


def cut(at):
    """Break off before byte ``at`` of the file."""
    return lambda handler, content, start: serve(handler, content, start, upto=max(at, start))


def without_ranges(handler, content, _):
    serve(handler, content, 0)


def without_ranges_cut(at):
    return lambda handler, content, _: serve(handler, content, 0, upto=at)


def without_length(upto=None):
    def answer(handler, content, _):
        handler.begin(200)
        handler.wfile.write(content[:upto])

    return answer


def stall(at):
    """Send the bytes before ``at``, then nothing until the server is closed."""

    def answer(handler, content, start):
        serve(handler, content, start, upto=at)
        handler.wfile.flush()
        handler.server.closing.wait()

    return answer


def slow(seconds):
    """Wait before the answer."""

    def answer(handler, content, start):
        handler.server.closing.wait(seconds)
        serve(handler, content, start)

    return answer


def status(code, **headers):
    return lambda handler, *_: handler.begin(code, 0, **headers)


def other(content, code=200, **headers):
    """Another content than the file's."""

    def answer(handler, *_):
        handler.begin(code, len(content), **headers)
        handler.wfile.write(content)

    return answer


def redirect(to):
    return status(302, Location=to)
