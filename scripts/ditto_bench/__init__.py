"""The methods of control compared on the embedded model: `scripts/bench_ditto`.

`plan` says what is measured and in which order, `material`, `curves` and `tunes` what it is
measured on, `tasks` makes a problem of it and `measure` solves that; `judge` listens to the result
by other means than the loss, `memory` looks from a process of its own. Every result is kept by
`store` as soon as it is there. `results` reads them again, `tables`, `acceptance`, `plots` and
`page` tell them beside the published figures (`published`).
"""
