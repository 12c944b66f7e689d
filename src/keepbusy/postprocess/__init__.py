"""Outputs → detections: one file a family finds candidates; suppression and the tasks are common to all."""

from keepbusy.postprocess.candidates import Candidates, Outputs
from keepbusy.postprocess.nms import suppress
from keepbusy.postprocess.tail import TooManyCandidatesError
from keepbusy.postprocess.to_detections import to_detections

__all__ = ["Candidates", "Outputs", "TooManyCandidatesError", "suppress", "to_detections"]
