"""Two further similarities of representations, calibrated by what unrelated examples would give.

- `mutual_knn` (Huh et al. 2024, "The Platonic Representation Hypothesis"): mean fraction of the
  `NEIGHBOURS` nearest neighbours of an example, by cosine, that both representations share.
- `procrustes`: after centring and scaling to unit Frobenius norm, the nuclear norm of X'Y, which is
  the largest inner product that a rotation reaches. It is 1 - d²/2, where d is the Procrustes
  distance of Ding, Denain and Steinhardt (2021), and the cosine of the angle of Williams et al.
  (2021, "Generalized Shape Metrics on Neural Representations").

Raw values of unrelated vectors depend on the number of examples and on the widths: of 90 examples
in 768 dimensions, `procrustes` is 0.97. Each value is therefore calibrated as
(raw - null) / (1 - null), as Cohen's kappa is: 0 on average if one side's examples are shuffled, 1
if both are the same. The null is the mean over shuffles. It is k / (n - 1) for the neighbours,
exactly, and 0 for debiased CKA, which is why that needs no calibration; for `procrustes`, it is the
mean of `SHUFFLES` seeded ones, whose values lie close together.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

NEIGHBOURS = 10
#: Examples at most: neighbours take time with their square, singular values with their cube.
EXAMPLES = 1_000  # about as many as Huh et al. compare
SHUFFLES = 3
MEASURES = ("mutual_knn", "mutual_knn_null", "procrustes", "procrustes_null")
_BLOCK = 256  # rows of cosines that are held at a time
#: Decimals of cosines: those of equal vectors may differ a little by the order of sums. What
#: orders ties is less than that for any number of rows here.
_DIGITS, _TIE = 10, 1e-14


def nearest(x: Floats, k: int = NEIGHBOURS) -> npt.NDArray[np.int64]:
    """Places of the nearest neighbours of each row by cosine, in no order, without the row itself.

    Ties, such as equal words at the embeddings, go to the earlier row. Rows of zeros have cosine 0
    with all others.

    Args:
        x: examples x width; more examples than `k`.
        k: number of neighbours.

    Returns:
        examples x k.
    """
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    units = np.divide(x, lengths, out=np.zeros_like(x), where=lengths > 0)
    found = np.empty((len(x), k), np.int64)
    later = _TIE * np.arange(len(x))
    for start in range(0, len(x), _BLOCK):
        distances = later - (units[start : start + _BLOCK] @ units.T).round(_DIGITS)
        rows = np.arange(len(distances))
        distances[rows, start + rows] = np.inf
        found[start : start + _BLOCK] = np.argpartition(distances, k - 1, axis=1)[:, :k]
    return found


def mutual_knn(x: Floats, y: Floats, k: int = NEIGHBOURS) -> float:
    """Mean fraction of nearest neighbours that are the same in both, not calibrated.

    Args:
        x, y: examples x width, and the same examples x another width; more examples than `k`.
        k: number of neighbours.
    """
    both = np.sort(np.concatenate([nearest(x, k), nearest(y, k)], axis=1), axis=1)
    return float((both[:, 1:] == both[:, :-1]).sum(axis=1).mean() / k)


def mutual_knn_null(examples: int, k: int = NEIGHBOURS) -> float:
    """Mean of `mutual_knn` over all shuffles: any other example is a neighbour by chance alone."""
    return k / (examples - 1)


def _normalised(x: Floats) -> Floats:
    """Centred, of unit norm, and no wider than there are examples: turned, which changes nothing.

    Zeros where there is no variance.
    """
    x = x - x.mean(axis=0)
    norm = np.linalg.norm(x)
    x = x / norm if norm > 0 else x
    return np.asarray(np.linalg.qr(x.T, mode="r")).T if x.shape[1] > len(x) else x


def _nuclear(x: Floats, y: Floats) -> float:
    return float(np.linalg.svd(x.T @ y, compute_uv=False).sum())


def procrustes(x: Floats, y: Floats, shuffles: int = SHUFFLES) -> tuple[float, float]:
    """Procrustes similarity, not calibrated, and its mean with the rows of `y` shuffled.

    Args:
        x, y: examples x width, and the same examples x another width.
        shuffles: how many, always the same; 1 or more.

    Returns:
        Both 0 where a representation has no variance.
    """
    x, y = _normalised(x), _normalised(y)
    rng = np.random.default_rng(0)
    shuffled = [_nuclear(x, y[rng.permutation(len(y))]) for _ in range(shuffles)]
    return _nuclear(x, y), float(np.mean(shuffled))


def calibrated(raw: float, null: float) -> float:
    """0 at the null, 1 at 1; NaN where the null is 1 itself."""
    return (raw - null) / (1 - null) if null < 1 - 1e-9 else float("nan")


def aligned(x: Floats, y: Floats) -> dict[str, float]:
    """Both measures, calibrated, each with its null.

    Args:
        x, y: examples x width, and the same examples x another width.

    Returns:
        `mutual_knn`, `mutual_knn_null`, `procrustes` and `procrustes_null`; NaN where there are no
        more than `NEIGHBOURS` + 1 examples, or no variance.
    """
    values = dict.fromkeys(MEASURES, float("nan"))
    if len(x) > NEIGHBOURS + 1 and np.ptp(x, axis=0).any() and np.ptp(y, axis=0).any():
        neighbours = (mutual_knn(x, y), mutual_knn_null(len(x)))
        for name, (raw, null) in (("mutual_knn", neighbours), ("procrustes", procrustes(x, y))):
            values |= {name: calibrated(raw, null), f"{name}_null": null}
    return values
