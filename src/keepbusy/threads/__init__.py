"""Threads, the hand-overs between them, and the cores that they run on."""
