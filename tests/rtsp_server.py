"""A small RTSP server on loopback: real H.264 in real RTP, packed by FFmpeg, handed on inside the RTSP connection.

FFmpeg's own muxer sends RTP over UDP to a local socket; each packet is forwarded to the client, interleaved with the
RTSP messages (RFC 2326, section 10.12), as a camera behind a firewall does.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from fractions import Fraction

import av

from tests.build import square_picture

SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track\r\n"
)


@contextlib.contextmanager
def rtsp_camera(*, fps: int = 30, size_wh: tuple[int, int] = (96, 64)) -> Iterator[str]:
    """Serve a red square that moves to the right, for ever, to one client; yields the URL."""
    stop = threading.Event()
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets,
    ):
        packets.bind(("127.0.0.1", 0))
        packets.settimeout(0.1)
        server.settimeout(0.1)
        url = f"rtsp://127.0.0.1:{server.getsockname()[1]}/camera"
        threads = [
            threading.Thread(target=_film, args=(packets.getsockname()[1], fps, size_wh, stop)),
            threading.Thread(target=_serve, args=(server, packets, stop)),
        ]
        for thread in threads:
            thread.start()
        try:
            yield url
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def _film(port: int, fps: int, size_wh: tuple[int, int], stop: threading.Event) -> None:
    with av.open(f"rtp://127.0.0.1:{port}?rtcpport={port}", "w", format="rtp") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps))
        stream.width, stream.height = size_wh
        stream.pix_fmt = "yuv420p"
        # Parameter sets with every key frame: the client may come at any time.
        stream.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "5", "x264-params": "repeat-headers=1"}
        index = 0
        while not stop.wait(1 / fps):
            picture = square_picture(index % 64, size_wh=size_wh)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
            index += 1


def _serve(server: socket.socket, packets: socket.socket, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            client, _ = server.accept()
        except TimeoutError:
            continue
        client.settimeout(5)
        with client, contextlib.suppress(OSError):
            if _handshake(client):
                _forward(client, packets, stop)


def _handshake(client: socket.socket) -> bool:
    """Answer the client's requests up to PLAY; False if it goes away before."""
    text = b""
    while True:
        received = client.recv(4096)
        if not received:
            return False
        text += received
        while b"\r\n\r\n" in text:
            request, text = text.split(b"\r\n\r\n", 1)
            lines = request.decode().split("\r\n")
            method = lines[0].split()[0]
            sequence = next(line.split(":")[1].strip() for line in lines if line.lower().startswith("cseq"))
            extra, body = "Session: 1\r\n", ""
            if method == "OPTIONS":
                extra = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
            elif method == "DESCRIBE":
                body = SDP
                extra = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
            elif method == "SETUP":
                extra += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
            client.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\n{extra}\r\n{body}".encode())
            if method == "PLAY":
                return True


def _forward(client: socket.socket, packets: socket.socket, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            packet = packets.recv(65536)
        except TimeoutError:
            continue
        if packet[1] & 0x7F == 96:  # RTP, not the sender's RTCP reports
            client.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)
