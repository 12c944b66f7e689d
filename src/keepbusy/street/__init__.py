"""A procedurally drawn street scene with exact ground truth."""

from __future__ import annotations

from keepbusy.street.scene import StreetScene
from keepbusy.street.spec import StreetSpec, parse_street_spec
from keepbusy.street.truth import CLASS_NAMES, Truth

__all__ = ["CLASS_NAMES", "StreetScene", "StreetSpec", "Truth", "parse_street_spec"]
