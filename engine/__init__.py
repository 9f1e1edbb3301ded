"""The render engine: analysis, priors, models, sampling, noise optimisation, rendering."""
