"""Decoding by FFmpeg's program, which reaches hardware that PyAV's libraries do not: packets in, NV12 planes out."""
