"""Seeded fuzzing: `python -m tests.fuzz --seconds 600`, or one case with `--kind videos --seed 1 --only 123`.

A kind makes an input from a random number generator that depends on (kind, seed, number) alone, and a function that
uses it as a user's program would. Cases run in a process of their own, so that a crash is a finding and no end.
"""
