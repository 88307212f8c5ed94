"""How often the answers are right, on labelled pictures."""
