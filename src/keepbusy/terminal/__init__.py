"""What a terminal shows, at any width."""
