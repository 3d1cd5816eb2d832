"""A declared target population: weights towards it, tilts of what it wants, weighted DPO, and how far to trust them."""
