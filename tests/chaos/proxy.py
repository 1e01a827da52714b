"""A proxy before the store that fails on demand: proxy.py PORT STORE_PORT, one mode a line on standard input.

    ok       passes requests on
    away     nobody listens
    slow     answers after some seconds
    hang     takes the request and says nothing until the mode ends
    500 503 429
             answers so, for two of three requests; the third passes
    dropped  passes the request on, and closes the connection instead of answering
    late     passes the request on, and answers when the client has long given up
    delayed  passes the request on when the client has long given up

What is late or delayed stays so when the mode ends: it hits the store at any time.
"""
import http.client
import http.server
import itertools
import random
import socket
import sys
import threading
import time

LATE_S = 14  # behind lib/objects' OBJECTS_CALL_TIMEOUT_MS
SLOW_S = (0.5, 3)
STORE_S = 60
HOP = {"connection", "transfer-encoding", "keep-alive", "date", "server"}
ERROR = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>as told</Message></Error>'
CODES = {"500": b"InternalError", "503": b"SlowDown", "429": b"TooManyRequests"}


class Store:
    mode, port, rng, numbers = "ok", 0, random.Random(1), itertools.count()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        mode, number = Store.mode, next(Store.numbers)
        if mode == "away":
            return self.drop()
        if mode == "slow":
            time.sleep(Store.rng.uniform(*SLOW_S))
        elif mode == "hang":
            while Store.mode == "hang":
                time.sleep(0.1)
            return self.drop()
        elif mode in CODES and number % 3:
            return self.answer(int(mode), [("Content-Type", "application/xml")], ERROR % CODES[mode])
        elif mode == "delayed" and number % 2:
            time.sleep(LATE_S)
        status, headers, answer = self.forward(body)
        if mode == "dropped" and number % 2:
            return self.drop()
        if mode == "late" and number % 2:
            time.sleep(LATE_S)
        return self.answer(status, headers, answer)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_any

    def forward(self, body):
        connection = http.client.HTTPConnection("127.0.0.1", Store.port, timeout=STORE_S)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP | {"expect"}:
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            got = connection.getresponse()
            return got.status, [(n, v) for n, v in got.getheaders() if n.lower() not in HOP], got.read()
        except OSError as error:
            return 502, [], str(error).encode()
        finally:
            connection.close()

    def answer(self, status, headers, body):
        try:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() != "content-length" or self.command == "HEAD":
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        except OSError:
            self.drop()

    def drop(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def handle(self):
        try:
            super().handle()
        except OSError:  # the client has gone
            pass

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 128

    def handle_error(self, *_):
        pass


def listen(port):
    server = Server(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    return server


def main(port, store_port):
    Store.port = int(store_port)
    server = listen(int(port))
    print("ready", flush=True)
    for line in sys.stdin:
        Store.mode = line.strip()
        if Store.mode == "away" and server:
            server.shutdown()
            server.server_close()
            server = None
        elif Store.mode != "away" and not server:
            server = listen(int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
