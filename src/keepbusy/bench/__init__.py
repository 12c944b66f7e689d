"""Measuring: the model alone against end to end, sync against async, and what holds a run back."""
