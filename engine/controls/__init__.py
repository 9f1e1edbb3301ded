"""What a result is measured against: differentiable features of a latent and their losses."""
