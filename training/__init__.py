"""Training of the street-scene YOLOv5n that keepbusy's demo runs.

Nothing here is imported by the package at run time; it needs PyTorch (see requirements.txt).
"""
