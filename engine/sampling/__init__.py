"""From noise to latents: levels, step rules, the loop and how gradients pass through it."""
