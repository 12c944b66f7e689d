"""The user's cache folder: downloaded models, compiled models, and what has been measured once.

Nothing in it is needed: a cache that is full, read-only, damaged or from another version is rebuilt or passed over.
"""
