"""Multinomial logistic regression on a few thousand rows, in a few tens of milliseconds. Plain numpy.

Legend: n rows, D features, K classes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_MEMORY = 8
_BIAS_PENALTY = 1e-5
_SUFFICIENT = 1e-4  # of the decrease that the slope promises


class Solution(NamedTuple):
    """Weights of a linear head.

    Attributes:
        weights: (D, K) float32.
        bias: (K,) float32.
        inverse: (D + 1, D + 1) float32, about the inverse of the curvature; a later fit to similar rows may use it.
    """

    weights: Floats
    bias: Floats
    inverse: Floats | None = None


def fit_logistic(
    rows: Floats,
    allowed: Floats,
    importance: Floats,
    penalty: Floats,
    start: Solution | None = None,
    offset: Floats | None = None,
    tolerance: float = 1e-4,
    max_steps: int = 60,
) -> Solution:
    """Minimise the mean of ``-log p(one of the allowed classes)`` plus ``penalty / 2 * weights ** 2``.

    A row with one allowed class is a label; one with all classes but one says "not this class". L-BFGS, whose first
    guess of the curvature is the bound of Böhning (1992): it is the same for all classes, so that it is inverted once.

    Args:
        rows: (n, D) features.
        allowed: (n, K), 1 for classes that are allowed, else 0; every row allows one at least.
        importance: (n,) weights of the rows, of sum 1.
        penalty: (D,) positive.
        start: Where to begin, and the curvature to begin with; zeros when not given. The minimum is the same where all
            rows are labels.
        offset: (n, K) logits to which those of the head are added.
        tolerance: Stop when a step lessens the objective by less than this share.
        max_steps: At most so many steps.
    """
    problem = _Problem(rows, allowed, importance, penalty, offset, None if start is None else start.inverse)
    x = np.zeros((rows.shape[1] + 1, allowed.shape[1]), np.float32)
    if start is not None:
        x[:-1], x[-1] = start.weights, start.bias
    value, slope = problem.at(x)
    history: list[tuple[Floats, Floats]] = []
    for _ in range(max_steps):
        direction = problem.direction(slope, history)
        expected = float(np.vdot(slope, direction))
        if expected <= tolerance * max(value, 1e-3) / 10:
            break
        length = 1.0
        while True:
            new = x - np.float32(length) * direction
            new_value, new_slope = problem.at(new)
            if new_value <= value - _SUFFICIENT * length * expected or length < 1e-3:
                break
            length /= 2
        if new_value >= value:
            break
        step, change = new - x, new_slope - slope
        if float(np.vdot(step, change)) > 1e-12:
            history = [*history[1 - _MEMORY :], (step, change)]
        decrease = value - new_value
        x, value, slope = new, new_value, new_slope
        if decrease < tolerance * max(value, 1e-3):
            break
    return Solution(x[:-1], x[-1], problem.inverse)


class _Problem:
    def __init__(
        self,
        rows: Floats,
        allowed: Floats,
        importance: Floats,
        penalty: Floats,
        offset: Floats | None,
        inverse: Floats | None,
    ) -> None:
        self._rows = np.concatenate([rows, np.ones((len(rows), 1), np.float32)], axis=1)
        self._importance = importance[:, None]
        self._penalty = np.append(penalty, np.float32(_BIAS_PENALTY)).astype(np.float32)
        self._offset = offset
        self._barred: NDArray[np.bool_] = allowed == 0
        self.inverse: Floats = self._inverted(importance) if inverse is None else inverse

    def _inverted(self, importance: Floats) -> Floats:
        curvature = (self._rows.T * (importance / 2)) @ self._rows
        curvature[np.diag_indices(len(curvature))] += self._penalty
        inverse: Floats = np.linalg.inv(curvature.astype(np.float64)).astype(np.float32)
        return inverse

    def at(self, x: Floats) -> tuple[float, Floats]:
        """Objective and gradient."""
        logits = self._rows @ x
        if self._offset is not None:
            logits += self._offset
        logits -= logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        inside = np.where(self._barred, np.float32(0), odds)
        total, right = odds.sum(axis=1, keepdims=True), inside.sum(axis=1, keepdims=True)
        right = np.maximum(right, np.float32(1e-30))
        loss = float(np.vdot(self._importance, np.log(total) - np.log(right)))
        penalised = self._penalty[:, None] * x
        slope = self._rows.T @ ((odds / total - inside / right) * self._importance) + penalised
        return loss + float(np.vdot(x, penalised)) / 2, slope

    def direction(self, slope: Floats, history: list[tuple[Floats, Floats]]) -> Floats:
        """The inverse curvature, as far as it is known, times the gradient. Source: Nocedal and Wright, 7.4."""
        result = slope.copy()
        factors = []
        for step, change in reversed(history):
            factor = np.float32(np.vdot(step, result) / np.vdot(step, change))
            factors.append(factor)
            result -= factor * change
        result = self.inverse @ result
        for (step, change), factor in zip(history, reversed(factors), strict=True):
            result += step * np.float32(factor - np.vdot(change, result) / np.vdot(step, change))
        return result
