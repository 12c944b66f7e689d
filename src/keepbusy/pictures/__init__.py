"""Pixels on their way into a model."""
