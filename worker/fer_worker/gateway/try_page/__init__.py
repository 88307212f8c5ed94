"""A page to try the workers from a browser, at /try: plain HTML, CSS and JavaScript."""
