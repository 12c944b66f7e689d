"""An RTSP camera of GStreamer's RTSP server, a program of its own: /usr/bin/python3 gst_server.py CLIP ... TIMES KEYS

It needs Debian's `python3-gi`, `gir1.2-gst-rtsp-server-1.0` and `gstreamer1.0-plugins-good`, which no virtual
environment has, and nothing else. A clip is a file of `tests.live.cameras`; the first is played in a loop, as `/cam`.

KEYS, if it is not empty, is a PEM file with a certificate and its key: it speaks RTSPS then.

On standard output: the port. On standard input, one command per line: `play N` goes on with clip N, `hold` sends
nothing more and keeps the connection, `go` goes on. It ends with standard input.

TIMES, a file, gets the moment at which each picture was sent, nanoseconds of the monotonic clock, at the place of its
number: pictures carry their number within the loop, not the clock, so that nothing is encoded here.
"""

from __future__ import annotations

import mmap
import struct
import sys
import threading
import time
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtspServer  # noqa: E402 - the versions come first

PAYLOADERS = {"h264": "rtph264pay", "hevc": "rtph265pay"}
SHOWN_LATER = 2
"""Pictures: as many as B-frames hold up."""

CAPS = {"h264": "video/x-h264", "hevc": "video/x-h265"}


class Clip:
    """Encoded pictures in the order in which they are sent, and their places in the order in which they are shown."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            codec, fps, num = struct.unpack("<8sII", file.read(16))
            self.codec, self.fps = codec.rstrip(b"\0").decode(), fps
            sizes = [struct.unpack("<II", file.read(8)) for _ in range(num)]
            self.places = [place for place, _ in sizes]
            self.pictures = [file.read(size) for _, size in sizes]


class Camera(GstRtspServer.RTSPMediaFactory):  # type: ignore[misc]
    """Sends the pictures of one clip after the other, as fast as they were taken."""

    def __init__(self, clips: list[Clip], times: mmap.mmap | None) -> None:
        super().__init__()
        self.clips = clips
        self.times = times
        self.number = 0
        self.is_held = False
        self.set_shared(True)

    def do_create_element(self, url: Any) -> Any:
        codec = self.clips[self.number].codec
        return Gst.parse_launch(
            f"( appsrc name=src is-live=true format=time "
            f"caps={CAPS[codec]},stream-format=byte-stream,alignment=au "
            f"! {PAYLOADERS[codec]} name=pay0 pt=96 )"
        )

    def do_configure(self, media: Any) -> None:
        source = media.get_element().get_child_by_name("src")
        begin_s, sent = 0.0, 0
        begin_ns: int | None = None
        is_over = threading.Event()
        media.connect("unprepared", lambda _: is_over.set())

        def push() -> bool:
            nonlocal begin_s, begin_ns, sent
            if is_over.is_set():
                return False
            if begin_ns is None:
                if source.get_clock() is None or not source.get_base_time():  # It does not play yet.
                    GLib.timeout_add(5, push)
                    return False
                begin_s, begin_ns = time.monotonic(), source.get_clock().get_time() - source.get_base_time()
            clip = self.clips[self.number]
            index = sent % len(clip.pictures)
            sent += 1
            if not self.is_held:
                if self.times is not None:
                    struct.pack_into("<q", self.times, 8 * index, time.monotonic_ns())
                buffer = Gst.Buffer.new_wrapped(clip.pictures[index])
                place = sent - 1 - index + clip.places[index]
                buffer.pts = begin_ns + (place + SHOWN_LATER) * Gst.SECOND // clip.fps
                buffer.dts = begin_ns + (sent - 1) * Gst.SECOND // clip.fps
                source.emit("push-buffer", buffer)
            # By the clock: timers of whole milliseconds would be too slow.
            due_s = begin_s + sent / clip.fps
            GLib.timeout_add(max(0, round((due_s - time.monotonic()) * 1000)), push)
            return False

        GLib.idle_add(push)


def obey(camera: Camera, loop: Any) -> None:
    """Do what standard input says."""
    for line in sys.stdin:
        word, _, number = line.strip().partition(" ")
        camera.is_held = word == "hold"
        if word == "play":
            camera.number = int(number)
    loop.quit()


def secure(server: Any, camera: Camera, keys: str) -> None:
    """Speak TLS, to anybody."""
    auth = GstRtspServer.RTSPAuth()
    auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(keys))
    token, permissions = GstRtspServer.RTSPToken(), GstRtspServer.RTSPPermissions()
    token.set_string("media.factory.role", "anybody")
    for what in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("anybody", what, True)
    auth.set_default_token(token)
    camera.set_permissions(permissions)
    server.set_auth(auth)


def main() -> None:
    """Serve until standard input ends."""
    Gst.init(None)
    *paths, times, keys = sys.argv[1:]
    with open(times, "r+b") as file:
        camera = Camera([Clip(path) for path in paths], mmap.mmap(file.fileno(), 0))
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    if keys:
        secure(server, camera, keys)
    server.get_mount_points().add_factory("/cam", camera)
    server.attach(None)
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    loop = GLib.MainLoop()
    threading.Thread(target=obey, args=(camera, loop), daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main()
