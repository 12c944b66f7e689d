"""Frames in, results out: runs and what they count."""
