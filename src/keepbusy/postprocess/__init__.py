"""Outputs → detections: one file a family finds candidates; suppression and the tasks are common to all."""

from keepbusy.postprocess.candidates import Candidates, Outputs
from keepbusy.postprocess.nms import suppress
from keepbusy.postprocess.postprocess import decode
from keepbusy.postprocess.tail import TooManyCandidatesError

__all__ = ["Candidates", "Outputs", "TooManyCandidatesError", "decode", "suppress"]
