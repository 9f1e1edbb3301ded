"""Measurements of the embedded model, and the page that tells them: `scripts/evaluate_model`.

`measures`, `frechet` and `baselines` are plain arithmetic on audio. `material` has the held-out
music, `corpus`, `tagger`, `tempo` and `embedding` are the analyses that are trained on another
split, `product` renders through the engine as the product does. Every section measures into a JSON
object (`sections/`), and every page turns such an object into text and verdicts (`pages/`).
"""
