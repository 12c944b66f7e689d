"""The search for the options that make a model, a source and a device fastest together, end to end."""
