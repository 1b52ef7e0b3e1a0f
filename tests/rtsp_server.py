"""An RTSP camera by GStreamer, for the system's own Python: python3 rtsp_server.py PORT [locked].

H.264 over RTP at 30 frames a second, rtsp://127.0.0.1:PORT/ir; `locked` asks for user ir and password secret. Frames
carry when they were made, as those of senders.py do.
"""

import sys
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

WIDTH, HEIGHT, FPS = 160, 128, 30
LAUNCH = (
    f"( appsrc name=src is-live=true format=time caps=video/x-raw,format=GRAY8,width={WIDTH},height={HEIGHT},"
    f"framerate={FPS}/1 ! videoconvert ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 bitrate=2000 "
    "! rtph264pay name=pay0 pt=96 config-interval=1 )"
)


def picture(number: int) -> bytes:
    """As `picture` of senders.py, without numpy."""
    rows = []
    for half in range(2):
        blocks = b"".join(bytes([235 if number >> (half * 8 + c) & 1 else 20]) * 16 for c in range(8))
        rows.append((blocks + bytes([90]) * (WIDTH - 128)) * 16)
    return b"".join(rows) + bytes([90]) * (WIDTH * (HEIGHT - 32))


class Camera(GstRtspServer.RTSPMediaFactory):
    """Makes a stream for whoever connects."""

    def __init__(self) -> None:
        super().__init__()
        self.set_launch(LAUNCH)
        self.set_shared(True)

    def do_configure(self, media: GstRtspServer.RTSPMedia) -> None:
        source = media.get_element().get_child_by_name("src")
        state = {"n": 0, "ended": False}

        def push() -> bool:
            data = Gst.Buffer.new_wrapped(picture(int(time.monotonic() * 1000) & 0xFFFF))
            data.pts = state["n"] * Gst.SECOND // FPS
            data.duration = Gst.SECOND // FPS
            state["n"] += 1
            return source.emit("push-buffer", data) == Gst.FlowReturn.OK

        GLib.timeout_add(1000 // FPS, push)


Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
camera = Camera()
server.get_mount_points().add_factory("/ir", camera)
if "locked" in sys.argv[2:]:
    permissions = GstRtspServer.RTSPPermissions()
    for right in (GstRtspServer.RTSP_PERM_MEDIA_FACTORY_ACCESS, GstRtspServer.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT):
        permissions.add_permission_for_role("user", right, True)
    camera.set_permissions(permissions)
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "user")
    auth = GstRtspServer.RTSPAuth()
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic("ir", "secret"), token)
    server.set_auth(auth)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
