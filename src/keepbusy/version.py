"""The version, which notes and reports state."""

__version__ = "0.1.0"
