"""Real cameras for tests and benchmarks: an RTSP server of GStreamer's, and a proxy that does what networks do."""
