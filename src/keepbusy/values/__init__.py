"""What travels through the program: frames, detections, masks, results, and the forms of models."""
