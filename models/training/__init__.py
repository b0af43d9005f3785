"""Cases in, weights and an evaluation out: `python -m models.training`."""
