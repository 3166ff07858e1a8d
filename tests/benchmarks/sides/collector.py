"""An OTLP collector over HTTP that keeps nothing; argument: seconds it takes for each answer. It prints its address."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DELAY = float(sys.argv[1])


class Takes(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        threading.Event().wait(DELAY)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


class Collector(ThreadingHTTPServer):
    def handle_error(self, *args: object) -> None:
        """A client that ended is none."""


if __name__ == "__main__":
    with Collector(("127.0.0.1", 0), Takes) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()
