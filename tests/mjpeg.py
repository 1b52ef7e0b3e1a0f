"""An MJPEG camera over HTTP on loopback, whose frames carry their number."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
from senders import FPS, HEIGHT, WIDTH, picture


def number_of(image: np.ndarray) -> int:  # type: ignore[type-arg]
    bits = [image[r * 16 + 8, c * 16 + 8] > 120 for r in range(2) for c in range(8)]
    return int(sum(1 << i for i, b in enumerate(bits) if b))


def basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Mjpeg:
    """An MJPEG camera over HTTP. `silent`: keeps the connection and sends nothing. `sent[n]`: when frame n left.
    `wanted`: frames are sent up to this number only; None sends on and on.

    `credentials`: USER:PASSWORD that it asks for.
    """

    def __init__(self, port: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT), credentials: str | None = None) -> None:
        self.silent, self.garbage, self.stopping = False, False, False
        self.size = size
        self.odd: list[bytes] = []
        """Parts that are sent next, as they are, instead of pictures."""
        self.sent: dict[int, float] = {}
        self.number = 0
        self.wanted: int | None = None
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/none"):
                    self.send_error(404)
                    return
                if credentials is not None and self.headers.get("Authorization") != basic(credentials):
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                with contextlib.suppress(OSError):
                    while not camera.stopping:
                        if not camera.silent and (camera.wanted is None or camera.number <= camera.wanted):
                            image = cv2.resize(picture(camera.number), camera.size, interpolation=cv2.INTER_NEAREST)
                            body = cv2.imencode(".jpg", image)[1].tobytes()
                            if camera.garbage:
                                body = bytes(len(body))
                            if camera.odd:
                                body = camera.odd.pop(0)
                            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
                            camera.sent[camera.number] = time.monotonic()
                            self.wfile.write(head.encode() + body + b"\r\n")
                            camera.number += 1
                        time.sleep(1 / FPS)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/video.mjpg"

    def close(self) -> None:
        if not self.stopping:
            self.stopping = True
            self.server.shutdown()
            self.thread.join()
            self.server.server_close()
