"""Pooling as matrix products."""

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402

from pspnet_core.models.pooling import pool_by_matrices  # noqa: E402


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (60, 60), (64, 65), (13, 97), (7, 3)])
@pytest.mark.parametrize("side", [1, 2, 3, 6])
def test_equals_adaptive_pooling(size, side):
    x = torch.randn(2, 5, *size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pool_by_matrices(x, side), F.adaptive_avg_pool2d(x, side), atol=1e-6, rtol=0)


def test_has_the_gradient_of_adaptive_pooling():
    x = torch.randn(1, 2, 7, 10, dtype=torch.float64, requires_grad=True)
    (ours,) = torch.autograd.grad(pool_by_matrices(x, 3).square().sum(), x)
    (theirs,) = torch.autograd.grad(F.adaptive_avg_pool2d(x, 3).square().sum(), x)
    torch.testing.assert_close(ours, theirs)
