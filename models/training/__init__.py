"""Cases in, weights and an evaluation out: `isocenter train`, `isocenter evaluate`."""
