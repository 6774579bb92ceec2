"""What the stand-in stores, and the package index that serves it."""
