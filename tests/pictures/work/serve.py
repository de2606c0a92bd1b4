"""A small service and somebody who asks it all the time: a log that grows by itself."""

import http.client
import http.server
import random
import sys
import threading
import time

PORT = 8080
COLOURS = {2: "32", 4: "33", 5: "31;1"}
LEVELS = {2: "INFO ", 4: "WARN ", 5: "ERROR"}


class Orders(http.server.BaseHTTPRequestHandler):
    """Adds up orders."""

    protocol_version = "HTTP/1.1"
    begun = 0.0

    def do_GET(self) -> None:
        """Answer: some orders are not there, and some are wrong."""
        self.begun = time.perf_counter()
        number = int(self.path.rpartition("/")[2])
        status = 500 if number % 23 == 22 else 404 if number % 11 == 7 else 200
        body = f"order {number}: {sum(range(number))} items\n".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if status == 500:
            print(f"Traceback: order {number} has no customer\n  in settle(), line 88", file=sys.stderr)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """A line for each request."""
        took = (time.perf_counter() - self.begun) * 1000
        kind = int(code) // 100
        level = f"\x1b[{COLOURS[kind]}m{LEVELS[kind]}\x1b[0m"
        print(f"{level} {self.command} {self.path} \x1b[1m{int(code)}\x1b[0m {took:.1f} ms", flush=True)


def ask() -> None:
    """Ask for one order after the other."""
    chance = random.Random(7)
    connection = http.client.HTTPConnection("127.0.0.1", PORT)
    while True:
        connection.request("GET", f"/orders/{chance.randrange(500)}")
        connection.getresponse().read()
        time.sleep(0.15)


server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Orders)
threading.Thread(target=ask, daemon=True).start()
server.serve_forever()
