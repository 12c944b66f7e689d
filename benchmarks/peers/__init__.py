"""End-to-end comparison with other ways to run a YOLO detector on OpenVINO. See `benchmarks/README.md`."""
