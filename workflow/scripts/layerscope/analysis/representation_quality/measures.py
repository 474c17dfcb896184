"""Measures of the vectors of texts and of tokens that need no labels.

Skean et al. (2025), "Layer by Layer: Uncovering Hidden Representations in Language Models", compare
layers by measures of these kinds. All are in float64.
"""

from __future__ import annotations

import torch

#: Differences of tokens, and vectors, shorter than this have no direction.
_NONE = 1e-12


def matrix_entropy(vectors: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
    """Von Neumann entropy of the trace-normalised Gram matrix, over the most that it can be.

    Giraldo, Rao and Príncipe (2014), with a linear kernel as in Skean et al. (2025): 0 if all
    vectors lie on one line through the origin, 1 if they are orthogonal and of equal length. The
    most is the logarithm of the number of vectors, or of their width if that is smaller.

    Args:
        vectors: ... x vectors x width.
        real: ... x vectors; false for vectors that do not count. None: all count.

    Returns:
        ...; NaN where fewer than two vectors count, or all are 0.
    """
    x = vectors.double()
    if real is None:
        real = torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device)
    x = x * real.unsqueeze(-1)
    gram = x @ x.transpose(-1, -2)
    trace = gram.diagonal(dim1=-1, dim2=-2).sum(dim=-1)
    # What does not count adds eigenvalues of 0, which add nothing.
    eigenvalues = torch.linalg.eigvalsh(gram / trace.clamp_min(_NONE)[..., None, None])
    entropy = torch.special.entr(eigenvalues.clamp_min(0)).sum(dim=-1)
    most = real.sum(dim=-1).clamp_max(x.shape[-1]).double().log()
    return torch.where((most > 0) & (trace > _NONE), entropy / most, torch.nan)


def effective_rank(vectors: torch.Tensor) -> float:
    """Exponential of the entropy of the normalised singular values (Roy and Vetterli 2007).

    Args:
        vectors: vectors x width.

    Returns:
        1 to the smaller of both; NaN if all vectors are 0.
    """
    values = torch.linalg.svdvals(vectors.double())
    total = values.sum()
    if total <= _NONE:
        return float("nan")
    return float(torch.special.entr(values / total).sum().exp())


def curvature(tokens: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Mean angle between consecutive differences of a text's token vectors, in degrees.

    Hosseini and Fedorenko (2023), "Large language models implicitly learn to straighten neural
    sentence trajectories": 0 on a straight line, 90 where each step is at a right angle to the one
    before. A step of length 0 (the same token twice, at embeddings without positions) has no angle.

    Args:
        tokens: texts x tokens x width.
        real: texts x tokens; false for padding and special tokens.

    Returns:
        texts; NaN where no two consecutive steps have an angle.
    """
    steps = tokens.double().diff(dim=1)
    lengths = steps.norm(dim=-1)
    moved = real[:, 1:] & real[:, :-1] & (lengths > _NONE)
    counted = moved[:, 1:] & moved[:, :-1]
    units = steps / lengths.clamp_min(_NONE).unsqueeze(-1)
    one, other = units[:, :-1], units[:, 1:]
    # Exact at small angles, where the arccosine of a rounded product is not (Kahan 2006).
    angles = 2 * torch.atan2((one - other).norm(dim=-1), (one + other).norm(dim=-1))
    sums = torch.where(counted, angles, 0.0).sum(dim=1)
    return torch.rad2deg(sums / counted.sum(dim=1))


def invariance(vectors: torch.Tensor, edited: torch.Tensor) -> torch.Tensor:
    """How much closer each text is to its own edit than to the edits of other texts.

    Cosine with its own edit minus the mean cosine with those of others, after the mean vector of
    all texts has been taken away. A representation that gives all texts the same vector has 0, and
    so has one of random vectors; a common direction, which would bring all cosines near 1, does not
    count. If edits change nothing, it is 1 plus what different texts are below 0: 1 / (n - 1) of
    texts without further structure.

    Args:
        vectors, edited: texts x width, in the same order.

    Returns:
        texts; NaN if there are fewer than two.
    """
    if len(vectors) < 2:
        return torch.full((len(vectors),), torch.nan, dtype=torch.float64)
    x, y = vectors.double(), edited.double()
    mean = x.mean(dim=0)
    one, other = (torch.nn.functional.normalize(z - mean, dim=1, eps=_NONE) for z in (x, y))
    cosines = one @ other.T
    own = cosines.diagonal()
    return own - (cosines.sum(dim=1) - own) / (len(x) - 1)
