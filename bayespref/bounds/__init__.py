"""Partial identification: sharp bounds, regret games, structure, sensitivity, latent types."""
