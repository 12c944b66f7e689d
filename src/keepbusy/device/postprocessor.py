"""A model's outputs, in whichever input shape → detections, with the thresholds of a run or a stream."""

from __future__ import annotations

from keepbusy.config import DetectConfig
from keepbusy.device.fallback import Fallback
from keepbusy.device.slots import Seat
from keepbusy.models.load import Model
from keepbusy.models.shapes import SizeHW
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess import Outputs, to_detections
from keepbusy.postprocess.plausible import AS_SHARES, check_confidences, check_pixels
from keepbusy.values.detections import Detections
from keepbusy.values.forms import OutputForm


class OutputReader:
    """What is known of one model's outputs: how they are to be read in each input shape, and whether they make sense.

    Args:
        model: As loaded.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._forms: dict[SizeHW, OutputForm] = {}
        self._are_boxes_plausible = model.output.family not in AS_SHARES
        self._are_confidences_plausible = False

    def learn(self, input_hw: SizeHW, form: OutputForm) -> None:
        """Hear how the outputs of the graph in one input shape, (height, width) in pixels, are to be read."""
        self._forms[input_hw] = form

    def may_leave_out(self, input_hw: SizeHW) -> bool:
        """Whether the graph in one input shape decodes a limited number of candidates, and could decode more."""
        return self._forms[input_hw].is_tail and not self._model.output.is_tail

    def read(self, outputs: Outputs, letterbox: Letterbox, config: DetectConfig) -> Detections:
        """A frame's outputs → its detections.

        Raises:
            TooManyCandidatesError: The tail has left out cells that count: the frame is to be inferred again.
            ModelError: The model gives its boxes as shares of its input, or numbers that are no confidences.
        """
        model = self._model
        found = to_detections(outputs, letterbox, self._forms[letterbox.input_hw], config, model.names)
        if not self._are_confidences_plausible and (len(found) or found.probabilities is not None):
            check_confidences(found, model.path)
            self._are_confidences_plausible = True
        if not self._are_boxes_plausible and len(found.boxes_xyxy):
            check_pixels(found, letterbox, model.path)
            self._are_boxes_plausible = True
        return found


class Postprocessor:
    """What a run calls for each frame: outputs → detections, with the thresholds of the run or of one stream.

    Args:
        reader: What reads the outputs.
        fallback: What infers a frame again that has more candidates than the tail decodes.
        config: Thresholds, classes and limits.
    """

    def __init__(self, reader: OutputReader, fallback: Fallback, config: DetectConfig) -> None:
        self._reader = reader
        self._fallback = fallback
        self._config = config

    def __call__(self, outputs: Outputs, letterbox: Letterbox) -> Detections:
        """See `OutputReader.read`."""
        return self._reader.read(outputs, letterbox, self._config)

    def redo(self, seat: Seat, letterbox: Letterbox) -> Detections:
        """See `Fallback.redo`."""
        return self._fallback.redo(seat, letterbox, self._config)
