"""This worker and the fer library, measured side by side: `make bench`."""
