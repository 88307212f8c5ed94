"""The processes of one host: as many as wanted, replaced when they die."""
