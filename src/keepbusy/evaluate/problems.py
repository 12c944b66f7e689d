"""What is wrong with data, collected so that one run names all of it."""

from __future__ import annotations

from collections.abc import Sequence

from keepbusy.errors import SourceError


class DataError(SourceError):
    """Labels or pictures of a data set are not as they must be.

    Args:
        data: What the user called the data.
        faults: Each begins with its file, and with its line where it has one.
        hint: What to do.
    """

    def __init__(self, data: str, faults: Sequence[str], *, hint: str) -> None:
        message = faults[0] if len(faults) == 1 else f"{data}: {len(faults)} faults; the first is {faults[0]}"
        super().__init__(message, hint=hint)
        self.faults = tuple(faults)


class Problems:
    """Faults found while data is read."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def add(self, place: object, what: str) -> None:
        """Note one: where it is (`file`, `file:line`), and what."""
        self.faults.append(f"{place}: {what}")

    def raise_if_any(self, data: str, *, hint: str) -> None:
        """Stop with all of them in one error.

        Raises:
            DataError: There are any.
        """
        if self.faults:
            raise DataError(data, self.faults, hint=hint)
