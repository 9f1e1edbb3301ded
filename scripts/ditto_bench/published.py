"""Published figures, to stand beside ours; their models, data and embeddings are others.

DITTO: Novack et al., ICML 2024, tables 1, 2, 3, 5, 8, 9 and 11. DITTO-2: Novack et al., ISMIR 2024;
its figures come from a digest of the paper.
"""

from __future__ import annotations

from collections.abc import Mapping

Row = Mapping[str, float]

# Fréchet audio distance with CLAP's music embedding, tables 1 and 2
PAINTING: Mapping[str, Row] = {
    "naive": {"outpaint-1": 0.722, "outpaint-2": 0.716, "outpaint-3": 0.712, "loop": 0.753,
              "inpaint-2": 0.697, "inpaint-3": 0.705, "inpaint-4": 0.707},
    "multidiffusion": {"outpaint-1": 0.733, "outpaint-2": 0.716, "outpaint-3": 0.710,
                       "loop": 0.749, "inpaint-2": 0.690, "inpaint-3": 0.694, "inpaint-4": 0.701},
    "multidiffusion-half": {"outpaint-1": 0.718, "outpaint-2": 0.714, "outpaint-3": 0.705,
                            "loop": 0.752, "inpaint-2": 0.701, "inpaint-3": 0.708,
                            "inpaint-4": 0.711},
    "guidance-gradients": {"outpaint-1": 0.754, "outpaint-2": 0.738, "outpaint-3": 0.719,
                           "loop": 0.774, "inpaint-2": 0.700, "inpaint-3": 0.709,
                           "inpaint-4": 0.717},
    "freedom": {"outpaint-1": 0.726, "outpaint-2": 0.723, "outpaint-3": 0.715, "loop": 0.758,
                "inpaint-2": 0.704, "inpaint-3": 0.709, "inpaint-4": 0.719},
    "doodl": {"outpaint-1": 0.719, "outpaint-2": 0.707, "outpaint-3": 0.700, "loop": 0.750,
              "inpaint-2": 0.688, "inpaint-3": 0.693, "inpaint-4": 0.696},
    "ditto": {"outpaint-1": 0.716, "outpaint-2": 0.703, "outpaint-3": 0.698, "loop": 0.746,
              "inpaint-2": 0.686, "inpaint-3": 0.688, "inpaint-4": 0.690},
}  # fmt: skip

# Table 3: loss in dB², share of frames, mean squared cosine; "conditional" is Music ControlNet
CONTROLS: Mapping[str, Row] = {
    "draft": {"intensity": 40.843, "melody": 0.10527, "structure": 0.309},
    "conditional": {"intensity": 38.411, "melody": 0.81353},
    "freedom": {"intensity": 23.292, "melody": 0.31544, "structure": 0.018},
    "doodl": {"intensity": 4.785, "melody": 0.81592, "structure": 0.074},
    "ditto-published": {"intensity": 4.758, "melody": 0.82625, "structure": 0.024},
    "ditto-2": {"intensity": 3.311, "melody": 0.852},
}
CONTROL_DISTANCES: Mapping[str, Row] = {
    "draft": {"intensity": 0.707, "melody": 0.707, "structure": 0.707},
    "conditional": {"intensity": 0.637, "melody": 0.545},
    "freedom": {"intensity": 0.673, "melody": 0.706, "structure": 0.668},
    "doodl": {"intensity": 0.695, "melody": 0.715, "structure": 0.653},
    "ditto-published": {"intensity": 0.682, "melody": 0.699, "structure": 0.632},
    "ditto-2": {"intensity": 0.640},
}

# Table 5, by method and sampler steps: dB², iterations to 2 dB², seconds of one, its memory in GB
EFFICIENCY: Mapping[tuple[str, int], tuple[float, float, float, float]] = {
    ("ditto", 20): (4.758, 44.466, 1.859, 5.002),
    ("doodl", 20): (4.785, 49.203, 4.177, 8.274),
    ("ditto", 50): (7.640, 46.855, 4.472, 5.094),
    ("doodl", 50): (8.894, 47.834, 10.036, 8.311),
}

# Table 8, by rule: intensity in dB² (the paper rounds it there), and two Fréchet distances
SAMPLERS: Mapping[str, tuple[float, float, float]] = {
    "euler": (4.77, 10.53, 9.19),
    "dpm-solver-2m": (6.30, 11.04, 9.12),
}

# Table 9: the intensity in dB² and what it came with (structure, share of the melody's frames)
TOGETHER: Mapping[str, Mapping[str, tuple[float, float | None]]] = {
    "intensity+outpaint-2": {"ditto": (5.783, None), "freedom": (23.945, None)},
    "intensity+structure": {"ditto": (6.802, 0.092), "freedom": (21.033, 0.304)},
    "intensity+melody": {"ditto": (7.833, 0.436), "freedom": (21.185, 0.198)},
}

# Table 11: seconds a sample on one A100, for intensity; DITTO-2 beside it
LATENCY: Mapping[str, Row] = {
    "draft": {"intensity": 0.612},
    "conditional": {"intensity": 1.456},
    "freedom": {"intensity": 2.867},
    "doodl": {"intensity": 206.897},
    "ditto-published": {"intensity": 82.192, "melody": 230.8, "structure": 245.3},
    "ditto-2": {"intensity": 5.47, "melody": 22.5, "structure": 11.75},
}
