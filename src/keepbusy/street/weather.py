"""What lies between the scene and the picture: rain, snow, blur and camera noise."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from keepbusy.street.canvas import Image
from keepbusy.street.palette import Light
from keepbusy.street.rng import Rng, mix64

_TILE = 256


class Lens:
    """Adds rain or snow, blur and noise to finished frames.

    Args:
        width: Frame width in pixels.
        height: Frame height in pixels.
        light: The scene's light and weather.
        seed: Scene seed.
    """

    def __init__(self, width: int, height: int, light: Light, seed: int) -> None:
        self._size = (width, height)
        self._blur = light.blur
        self._seed = seed
        self._drops: Image | None = None
        self._plus: Image | None = None
        self._minus: Image | None = None
        self._fall = 0.0
        if light.rain or light.snow:
            tile = _rain_tile(Rng(seed, 31), light.snow)
            self._drops = self._cover(np.repeat(tile[:, :, None], 3, axis=2))
            self._fall = 5.0 if light.snow else 37.0
        if light.noise:
            stream = np.random.Generator(np.random.PCG64(mix64(seed)))
            shape = (_TILE, _TILE, 3)
            first = stream.integers(-light.noise, light.noise + 1, shape, dtype=np.int64)
            second = stream.integers(-light.noise, light.noise + 1, shape, dtype=np.int64)
            grain = (first + second) // 2
            self._plus = self._cover(np.maximum(grain, 0).astype(np.uint8))
            self._minus = self._cover(np.maximum(-grain, 0).astype(np.uint8))

    def _cover(self, tile: Image) -> Image:
        width, height = self._size
        across, down = -(-width // _TILE) + 1, -(-height // _TILE) + 1
        return np.ascontiguousarray(np.tile(tile, (down, across, 1)))

    def _window(self, sheet: Image, x: int, y: int) -> NDArray[np.uint8]:
        width, height = self._size
        return sheet[y % _TILE : y % _TILE + height, x % _TILE : x % _TILE + width]

    def apply(self, frame: Image, index: int) -> None:
        """Change a finished frame in place.

        Args:
            frame: BGR uint8 (H, W, 3).
            index: Frame index.
        """
        if self._drops is not None:
            fall = int(self._fall * (index % 100_000_000))
            cv2.add(frame, self._window(self._drops, fall // 9, -fall), frame)
        if self._blur:
            cv2.GaussianBlur(frame, (3, 3), 0, dst=frame)
        if self._plus is not None and self._minus is not None:
            where = mix64(mix64(self._seed) + index)
            x, y = where & 255, (where >> 8) & 255
            cv2.add(frame, self._window(self._plus, x, y), frame)
            cv2.subtract(frame, self._window(self._minus, x, y), frame)


def _rain_tile(rng: Rng, snow: bool) -> NDArray[np.uint8]:
    """Return a seamless tile uint8 (256, 256) of falling streaks or flakes."""
    big = np.zeros((_TILE * 3, _TILE * 3), np.uint8)
    for _ in range(70 if snow else 60):
        x, y = rng.integer(0, _TILE - 1), rng.integer(0, _TILE - 1)
        long, level = rng.integer(8, 20), rng.integer(16, 42)
        size = rng.integer(8, 22)
        for ox in range(0, 3 * _TILE, _TILE):
            for oy in range(0, 3 * _TILE, _TILE):
                if snow:
                    cv2.circle(big, ((x + ox) * 16, (y + oy) * 16), size, level * 3, -1, cv2.LINE_AA, 4)
                else:
                    cv2.line(
                        big,
                        (x + ox, y + oy),
                        (x + ox - long // 6, y + oy + long),
                        level,
                        1,
                        cv2.LINE_AA,
                    )
    return np.ascontiguousarray(big[_TILE : 2 * _TILE, _TILE : 2 * _TILE])
