"""What uses results: nothing but the commands imports it."""
