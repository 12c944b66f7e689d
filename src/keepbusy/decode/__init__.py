"""Outputs → detections: one file a family finds candidates; suppression and the tasks are common to all."""

from keepbusy.decode.candidates import Candidates, Outputs
from keepbusy.decode.decode import decode
from keepbusy.decode.nms import suppress
from keepbusy.decode.tail import TooManyCandidatesError

__all__ = ["Candidates", "Outputs", "TooManyCandidatesError", "decode", "suppress"]
