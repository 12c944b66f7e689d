"""What family and task a graph's outputs are of: rules over their shapes, names, metadata and last layers."""

from keepbusy.models.outputs.recognise import recognise_output

__all__ = ["recognise_output"]
