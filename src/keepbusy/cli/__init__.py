"""The command line: one file for each command."""

from keepbusy.cli.app import main

__all__ = ["main"]
