"""Drawing what was found, as the videos and pictures that keepbusy writes are drawn.

```python
from keepbusy.drawing import Style, as_bgr, draw

picture = as_bgr("draw", image)  # A copy to draw on.
draw(picture, detections, Style(has_confidence=False))
```

`Detections.plot` and `Result.plot` do just that. The strokes that `draw` is made of (`draw_label`, `draw_mask`,
`draw_polygon`, `draw_keypoints`, `draw_classes`) are there for steps and sinks of your own. All of them change the
picture that they are given: uint8 (H, W, 3), colour order BGR.
"""

from keepbusy.drawing.cut import cut_boxes
from keepbusy.drawing.draw import Drawable, DrawableMasks, draw
from keepbusy.drawing.outlines import outlines
from keepbusy.drawing.picture import as_bgr
from keepbusy.drawing.scripts import drawn_name
from keepbusy.drawing.strokes import (
    Colour,
    draw_classes,
    draw_keypoints,
    draw_label,
    draw_mask,
    draw_polygon,
)
from keepbusy.drawing.style import PLAIN, Style
from keepbusy.drawing.write import encode_picture, write_image

__all__ = [
    "PLAIN",
    "Colour",
    "Drawable",
    "DrawableMasks",
    "Style",
    "as_bgr",
    "cut_boxes",
    "draw",
    "draw_classes",
    "draw_keypoints",
    "draw_label",
    "draw_mask",
    "draw_polygon",
    "drawn_name",
    "encode_picture",
    "outlines",
    "write_image",
]
