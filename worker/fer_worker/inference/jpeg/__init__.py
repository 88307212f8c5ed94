"""JPEG bytes to checked pictures. The sender is not trusted, and neither is the line."""
