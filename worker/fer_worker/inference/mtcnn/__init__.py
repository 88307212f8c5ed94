"""The MTCNN face detector."""
