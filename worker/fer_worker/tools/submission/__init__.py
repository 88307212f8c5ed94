"""Pictures and clips to batches, and batches to their answers."""
