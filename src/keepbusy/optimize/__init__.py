"""A model made quicker on a device, and the proof that it still finds the same: rewritten, and quantized to INT8."""

from keepbusy.optimize.report import Report, Row
from keepbusy.optimize.run import OptimizeConfig, optimize

__all__ = ["OptimizeConfig", "Report", "Row", "optimize"]
