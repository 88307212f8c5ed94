"""Bytes in, deliveries out. Knows no images."""
