"""A model on a device: requests and slots, input shapes, heads and how they prove themselves."""
