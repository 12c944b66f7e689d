"""What it takes to publish keepbusy: the page for the package index, and the program that builds, checks and tags."""
