"""What operators' commands call: supervisors, dead letters, undelivered results."""
