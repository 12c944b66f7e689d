"""How files are named, read and written."""
