"""Measurements that take time: run by hand, never by the tests."""
