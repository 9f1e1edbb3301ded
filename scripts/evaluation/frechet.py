"""The Fréchet distance between two clouds of points, each taken for a Gaussian."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


def _root(matrix: Points) -> Points:
    """The symmetric root of a positive semi-definite matrix; rounding below zero is cut."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def frechet_distance(left: Points, right: Points) -> float:
    """Squared Wasserstein-2 distance of the Gaussians fitted to two clouds `[points, dimensions]`.

    |m - n|² + tr(S + T - 2 (S^½ T S^½)^½) with the means m, n and covariances S, T (Dowson and
    Landau 1982; as used for images by Heusel et al. 2017 and for music by Kilgour et al. 2019).
    """
    if min(len(left), len(right)) < 2:
        raise ValueError("a Fréchet distance needs at least two points on either side")
    mean = np.sum((left.mean(axis=0) - right.mean(axis=0)) ** 2)
    first, second = (np.atleast_2d(np.cov(cloud, rowvar=False)) for cloud in (left, right))
    root = _root(first)
    cross = np.sum(np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0.0)))
    return max(0.0, float(mean + np.trace(first) + np.trace(second) - 2.0 * cross))
