"""Models that have names: what there is, how it is fetched, where it is kept."""

from keepbusy.models.store.store import ModelStore, find_model

__all__ = ["ModelStore", "find_model"]
