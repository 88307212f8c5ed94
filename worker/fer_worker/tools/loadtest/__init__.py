"""Load on running workers, and what it comes to."""
