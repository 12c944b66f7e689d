"""Training of the street-scene detectors: the YOLOv5n that keepbusy's demo runs, and a YOLOv8n.

Nothing here is imported by the package at run time; it needs PyTorch (see requirements.txt).
"""
