"""The page in a real browser: pictures, boxes on their own frames, stale tiles, sliders, keys, languages, a phone."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tests.browser import chromium, opened, wait, why_no_browser
from tests.build import square_picture, write_video
from tests.served import Server, begin, serving

TOKEN = "admin-token-0123456789"

IS_LIVE = "document.querySelectorAll('.tile .screen:not(.stale)').length"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if missing := why_no_browser():
        pytest.skip(missing)
    with chromium() as one:
        yield one


def test_the_browser_is_there_where_it_has_to_be() -> None:
    missing = why_no_browser()
    if missing and not os.environ.get("KEEPBUSY_CI"):
        pytest.skip(missing)
    assert not missing


@pytest.fixture(scope="module")
def falls_silent() -> Iterator[str]:
    """The address of a camera that sends a few pictures each time it is asked, and then nothing, without an end."""
    jpeg = cv2.imencode(".jpg", square_picture(8))[1].tobytes()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=next\r\n\r\n"
    part = b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(jpeg), jpeg)
    is_over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)

    def work() -> None:
        left: dict[socket.socket, int] = {}
        while not is_over.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = listener.accept()
                client.sendall(head)
                left[client] = 20
            for client in [one for one, number in left.items() if number]:
                with contextlib.suppress(OSError):
                    client.sendall(part)
                left[client] -= 1
        for client in left:
            client.close()

    thread = threading.Thread(target=work)
    with listener:
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        is_over.set()
        thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, falls_silent: str) -> Iterator[Server]:
    """Two streets, a file that ends, and a camera that falls silent."""
    folder = tmp_path_factory.mktemp("page")
    write_video(folder / "short.mp4", num_frames=5)
    street = "synth:street?size=320x180&fps=5"
    silent = {"name": "silent", "source": f"{falls_silent}/video.mjpg", "stall_s": 1.0}
    streams = [
        {"name": "north", "source": f"{street}&seed=3"},
        {"name": "south", "source": f"{street}&seed=4"},
        {"name": "short", "source": "short.mp4", "realtime": False, "retry": None, "max_age_ms": None},
        silent,
    ]
    config = {"streams": streams, "page": {"stale_after_s": 5.0}, "limits": {"requests_per_s": 1000}}
    with serving(config, folder) as one:
        one.wait_until_ready(2)
        yield one


def closed(page: Any, *allowed: str) -> None:
    errors = [error for error in page.errors if not any(one in error for one in allowed)]
    page.context.close()
    assert errors == []


def test_the_page_shows_live_pictures_and_an_old_one_grey_with_its_age(browser: Any, server: Server) -> None:
    page = opened(browser, server.address)
    wait(page, f"{IS_LIVE} >= 2")
    assert page.locator(".tile h2").all_text_contents() == ["north", "south", "short", "silent"]
    old = page.locator(".tile").nth(2)
    wait(page, "document.querySelectorAll('.tile')[2].querySelector('.stale strong')?.textContent.endsWith(' old')")
    assert "ended" in old.text_content()
    assert page.evaluate("getComputedStyle(document.querySelector('.tile:nth-child(3) canvas')).filter").startswith(
        "grayscale(1)"
    )
    assert page.locator("#verdict").text_content() and "CPU" in page.locator("#device").text_content()
    closed(page)


def test_a_stalled_stream_is_never_called_live(browser: Any, server: Server) -> None:
    page = opened(browser, server.address)
    states = ["opening", "running", "stalled", "waiting", "ended", "failed", "removed"]
    told = page.evaluate(
        """async (states) => {
            const { stateOf } = await import('/page/tile.js');
            const told = (is_live, is_stale) => states.map((state) => stateOf({ state, is_live, is_stale }));
            return [told(true, false), told(true, true), told(false, true)];
        }""",
        states,
    )
    assert [one.count("live") for one in told] == [1, 0, 0] and told[0][1] == "live" and told[1][1] == "late"
    # Its picture is not too old to be shown by then, and its state says that nothing comes.
    wait(page, "document.querySelector('[data-stream=silent] .state').textContent.startsWith('stalled')")
    assert page.evaluate("document.querySelector('[data-stream=silent] .state').className") == "state bad"
    closed(page)


def test_a_tile_is_enlarged_and_its_thresholds_slide_without_compiling(browser: Any, server: Server) -> None:
    page = opened(browser, server.address)
    wait(page, f"{IS_LIVE} >= 2")
    page.locator(".tile").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.locator("#large-name").text_content() == "south"
    wait(page, "!document.querySelector('#large .screen').classList.contains('stale')")
    page.locator("#conf").fill("0.9")
    wait(page, "document.querySelector('#conf-value').textContent === '0.90'")
    for _ in range(100):
        if server.ask("/api/streams/south").json["thresholds"].get("conf") == 0.9:
            break
        page.wait_for_timeout(100)
    assert server.ask("/api/streams/south").json["thresholds"]["conf"] == 0.9
    assert server.ask("/api/engine").json["recoveries"] == 0
    page.keyboard.press("Escape")
    assert not page.locator("#large").is_visible()
    closed(page)


def test_the_engine_is_shown_in_both_languages_and_themes(browser: Any, server: Server) -> None:
    page = opened(browser, server.address, color_scheme="dark")
    wait(page, f"{IS_LIVE} >= 2")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("e")
    page.wait_for_selector("#history canvas")
    wait(page, "document.querySelectorAll('#stages .bar').length >= 4")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    page.click("#language")
    assert page.locator("#show-engine").text_content() == "引擎" and "帧" in page.locator("#sums").text_content()
    page.reload()
    wait(page, "document.querySelector('#show-engine').textContent === '引擎'")
    closed(page)


def test_all_words_are_there_in_both_languages(browser: Any, server: Server) -> None:
    page = opened(browser, server.address)
    missing = page.evaluate(
        """async () => {
            const text = await (await fetch('/page/words.js')).text();
            const keys = (name) => new Set([...text.split(`const ${name} = {`)[1].split('\\n};')[0]
                .matchAll(/(?:^|, |  )(?:"([^"]+)"|([a-z_]+)): "/g)].map((match) => match[1] ?? match[2]));
            const [en, zh] = [keys('EN'), keys('ZH')];
            return [en.size, [...en].filter((key) => !zh.has(key))];
        }"""
    )
    assert missing[0] > 50 and missing[1] == []
    closed(page)


def test_a_phone_sees_one_tile_across_and_nothing_beside_the_screen(browser: Any, server: Server) -> None:
    page = opened(browser, server.address, viewport={"width": 360, "height": 740})
    wait(page, f"{IS_LIVE} >= 1")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    lefts = page.evaluate("[...document.querySelectorAll('.tile')].map((one) => one.offsetLeft)")
    assert len(set(lefts)) == 1
    closed(page)


def test_the_page_asks_for_the_token(browser: Any, tmp_path: Path) -> None:
    config = {"server": {"token": TOKEN}, "streams": [{"name": "a", "source": "synth:street?size=64x64&fps=5"}]}
    with serving(config, tmp_path) as server:
        page = opened(browser, server.address)
        page.wait_for_selector("#login[open]")
        page.fill("#token", "wrong")
        page.click("#enter")
        wait(page, "document.querySelector('#login-error').textContent !== ''")
        page.fill("#token", TOKEN)
        page.click("#enter")
        page.wait_for_selector(".tile")
        page.goto("about:blank")
        page.goto(f"{server.address}/#token={TOKEN}")
        page.wait_for_selector(".tile")
        assert TOKEN not in page.url
        closed(page, "401", "WebSocket", "about:blank")


def test_a_connection_that_is_lost_is_told_and_comes_back(browser: Any, tmp_path: Path) -> None:
    config = {"streams": [{"name": "a", "source": "synth:street?size=64x64&fps=5"}], "page": {"stale_after_s": 2.0}}
    with serving(config, tmp_path) as server:
        page = opened(browser, server.address)
        wait(page, "document.querySelector('.tile .state')?.textContent === 'live'")
        server.end()
        page.wait_for_selector("#lost:visible")
        wait(page, f"{IS_LIVE} == 0")
        assert page.locator(".tile .state").text_content() == "no new picture"
        with begin(str(tmp_path / "wall.yaml"), "--port", str(server.port), folder=tmp_path) as process:
            again = Server(process)
            wait(page, f"{IS_LIVE} == 1")
            assert not page.locator("#lost").is_visible()
            again.end()
        closed(page, "WebSocket", "Failed to load resource")


def write_jumping(path: Path) -> None:
    """A video of a red square that jumps to the right, eight pixels a frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for index in range(40):
            picture = square_picture(8 * index % 64)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())


def test_boxes_are_those_of_the_very_frame_they_come_with(tmp_path: Path, blob_model: Path) -> None:
    """Another frame's boxes would be eight pixels beside the square."""
    from websockets.sync.client import connect

    write_jumping(tmp_path / "clip.mp4")
    config = {"model": str(blob_model), "streams": [{"name": "a", "source": "clip.mp4", "conf": 0.9}]}
    with serving(config, tmp_path) as server:
        server.wait_until_ready(1)
        places: set[int] = set()
        with connect(f"ws://{server.host}/api/live", max_size=None) as client:
            client.send(json.dumps({"type": "view", "tiles": {"a": 320}}))
            while len(places) < 6:
                message = client.recv(60)
                if isinstance(message, str):
                    continue
                (size,) = struct.unpack_from("<I", message)
                head = json.loads(message[4 : 4 + size])
                client.send(json.dumps({"type": "ack", "n": head["n"]}))
                image = cv2.imdecode(np.frombuffer(message[4 + size :], np.uint8), cv2.IMREAD_COLOR)
                assert image is not None and image.shape[1] == head["width"] == 96
                columns = np.flatnonzero((image[:, :, 2] > 150).any(0))
                small = [(left, right) for left, _, right, _ in head["boxes"] if right - left <= 5]
                lefts, rights = zip(*small, strict=True)
                assert abs(columns[0] - min(lefts)) <= 4 and abs(columns[-1] - max(rights)) <= 4
                places.add(min(lefts))
