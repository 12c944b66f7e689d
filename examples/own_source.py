"""A source of your own: pictures from any device or library that gives arrays."""

import numpy as np

import keepbusy as kb
from keepbusy.embedded import embedded_model


class Panorama(kb.Source):
    """A window of 640x360 that moves over one wide picture, as a camera on a rail would."""

    def __init__(self, picture: np.ndarray, num_frames: int) -> None:
        self.info = kb.SourceInfo("panorama", num_frames=num_frames, fps=10)
        self._picture = picture
        self._index = 0

    def read(self) -> kb.Frame | None:
        """The next frame: uint8 (H, W, 3), BGR; None at the end."""
        if self._index == self.info.num_frames:
            return None
        left = self._index * 16
        image = np.ascontiguousarray(self._picture[180:540, left : left + 640])
        self._index += 1
        return kb.Frame(image, self._index - 1, (self._index - 1) / 10, 0, self.info.name)

    def frame_sizes(self) -> dict[tuple[int, int], int]:
        """(height, width) of the frames to come, so that the model is compiled before the first one."""
        return {(360, 640): 1}


if __name__ == "__main__":
    street = kb.open_source("synth:street?seed=1&size=1280x720&frames=1").read()
    assert street is not None and street.image is not None
    with kb.Pipeline(embedded_model()) as pipeline:
        for result in pipeline.run(Panorama(street.image, 40)):
            print(result.frame.index, len(result.detections))
