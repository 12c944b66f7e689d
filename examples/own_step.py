"""A step of your own: people are blurred before any sink sees them."""

import dataclasses

import cv2
import numpy as np

import keepbusy as kb
from keepbusy.embedded import embedded_clip, embedded_model


class BlurPeople(kb.Step):
    """Blurs the boxes of one class. Each stream has a step of its own, which may remember things of that stream."""

    def process(self, result: kb.Result) -> kb.Result:
        """What becomes of a result. What was given is not changed: it is replaced."""
        found = result.detections
        people = found[np.array([found.names[class_id] == "person" for class_id in found.class_id], dtype=bool)]
        if result.frame.image is None or not len(people):
            return result
        image = result.frame.image.copy()
        for left, top, right, bottom in people.boxes_xyxy.astype(int):
            part = image[top:bottom, left:right]
            if part.size:
                part[:] = cv2.blur(part, (25, 25))
        return dataclasses.replace(result, frame=dataclasses.replace(result.frame, picture=image))


if __name__ == "__main__":
    with kb.Pipeline(embedded_model()) as pipeline, pipeline.start() as run:
        select = kb.SelectConfig(limit=30)
        run.add(str(embedded_clip()), kb.StreamConfig(select=select, steps=(lambda info: BlurPeople(),)))
        run.end()  # No more streams come: the run ends when this one does.
        kb.drain(run, kb.open_sink("blurred.mp4"))
    print("blurred.mp4")
