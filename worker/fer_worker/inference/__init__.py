"""Frames in, faces and emotions out. Knows no AMQP."""
