"""What family and task a graph's outputs are of: rules over their shapes, names, metadata and last layers."""

from keepbusy.models.outputs.recognise import recognise_output
from keepbusy.models.outputs.tasks import NAMES_DOUBT

__all__ = ["NAMES_DOUBT", "recognise_output"]
