"""Invertible maps of codes with the logarithm of their determinant: what posteriors and priors are deformed by.

B codes of D dimensions. log|det| is that of the Jacobian of the map, in nats, one value per code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.models.numerics import at_least_float32


class MaskedLinear(nn.Linear):
    """A linear map some of whose weights are zero for good.

    Args:
        mask: 1 for the weights that are used, 0 for the others, (outputs, inputs).
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, h: Tensor) -> Tensor:
        """Map h (..., inputs) to (..., outputs)."""
        return F.linear(h, self.weight * self.mask, self.bias)


class MADE(nn.Module):
    """A network whose output i depends on the inputs before i only (Germain et al. 2015, arXiv:1502.03509).

    Args:
        dim: the number D of inputs.
        hidden: the units of the hidden layer.
        outputs: the number of values for each input.
        context: the number of values that every output depends on as well.
    """

    def __init__(self, dim: int, hidden: int, outputs: int, context: int = 0) -> None:
        super().__init__()
        lowest = 0 if context else 1  # a unit that sees no input has the context for the first output
        inputs, units = torch.arange(1, dim + 1), torch.arange(hidden) % max(1, dim - lowest) + lowest
        self.outputs = outputs
        self.first = MaskedLinear((units[:, None] >= inputs).float())
        self.context = nn.Linear(context, hidden, bias=False) if context else None
        self.last = MaskedLinear((inputs[:, None] > units).float().repeat(outputs, 1))

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return the values of each input z (..., D), each (..., D)."""
        dtype = self.first.weight.dtype  # codes are in float32 where a model is not
        h = self.first(z.to(dtype))
        if self.context is not None and context is not None:
            h = h + self.context(context.to(dtype))
        values = at_least_float32(self.last(F.elu(h)))  # a scale and its logarithm must not be rounded apart
        return values.chunk(self.outputs, dim=-1)


class Coupling(nn.Module):
    """An affine coupling: half of the dimensions scale and shift the other half (Dinh et al. 2017, arXiv:1605.08803).

    Log scales are between -1 and 1. At the start it is the identity.

    Args:
        dim: the dimensions D of a code.
        hidden: the units of the two hidden layers.
        flipped: whether the second half moves the first.
    """

    def __init__(self, dim: int, hidden: int, *, flipped: bool) -> None:
        super().__init__()
        self.flipped, self.kept = flipped, dim - dim // 2 if not flipped else dim // 2
        moved = dim - self.kept
        last = nn.Linear(hidden, 2 * moved)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.net = nn.Sequential(nn.Linear(self.kept, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), last)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Map codes z (..., D) and return them with log|det|, (...)."""
        kept, moved = self._halves(z)
        log_scale, shift = self._terms(kept)
        return self._joined(kept, moved * log_scale.exp() + shift), log_scale.sum(dim=-1)

    def inverse(self, u: Tensor) -> Tensor:
        """Undo :meth:`forward`."""
        kept, moved = self._halves(u)
        log_scale, shift = self._terms(kept)
        return self._joined(kept, (moved - shift) * (-log_scale).exp())

    def _terms(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        dtype = next(self.net.parameters()).dtype  # codes are in float32 where a model is not
        log_scale, shift = at_least_float32(self.net(kept.to(dtype))).chunk(2, dim=-1)
        return torch.tanh(log_scale), shift

    def _halves(self, z: Tensor) -> tuple[Tensor, Tensor]:
        if not self.flipped:
            return z[..., : self.kept], z[..., self.kept :]
        return z[..., -self.kept :], z[..., : -self.kept]

    def _joined(self, kept: Tensor, moved: Tensor) -> Tensor:
        return torch.cat([moved, kept] if self.flipped else [kept, moved], dim=-1)


class ActNorm(nn.Module):
    """A scale and a shift of each dimension, 1 and 0 at the start."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.log_scale, self.shift = nn.Parameter(torch.zeros(dim)), nn.Parameter(torch.zeros(dim))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Map codes z (..., D) and return them with log|det|, (...)."""
        return z * self.log_scale.exp() + self.shift, self.log_scale.sum().expand(z.shape[:-1])

    def inverse(self, u: Tensor) -> Tensor:
        """Undo :meth:`forward`."""
        return (u - self.shift) * (-self.log_scale).exp()


def planar(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return z + û tanh(wᵀz + b) and log|det| (Rezende & Mohamed 2015, equations 10 to 12, appendix A.1).

    û is u moved along w so that wᵀû > -1, which makes the map invertible.

    Args:
        z: codes (..., B, D).
        u: (B, D).
        w: (B, D).
        b: (B, 1).
    """
    wu = (w * u).sum(dim=-1, keepdim=True)
    u_hat = u + (F.softplus(wu) - 1 - wu) * w / w.square().sum(dim=-1, keepdim=True).clamp(min=1e-12)
    h = torch.tanh((w * z).sum(dim=-1, keepdim=True) + b)  # (..., B, 1)
    determinant = 1 + (1 - h.square()) * (u_hat * w).sum(dim=-1, keepdim=True)
    return z + u_hat * h, determinant.clamp(min=1e-12).log().squeeze(-1)


def radial(z: Tensor, centre: Tensor, alpha: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    """Return z + β̂ h (z - centre), h = 1 / (α + r), and log|det| (Rezende & Mohamed 2015, equation 14, appendix A.2).

    β̂ = -α + softplus(β) ≥ -α makes the map invertible.

    Args:
        z: codes (..., B, D).
        centre: (B, D).
        alpha: (B, 1), positive.
        beta: (B, 1).
    """
    offset = z - centre
    r = offset.square().sum(dim=-1, keepdim=True).clamp(min=1e-24).sqrt()
    h = 1 / (alpha + r)
    bent = (F.softplus(beta) - alpha) * h
    slope = bent - bent * h * r  # β̂ h + β̂ h'(r) r, with h' = -h²
    log_det = (z.shape[-1] - 1) * torch.log1p(bent) + torch.log1p(slope)
    return z + bent * offset, log_det.squeeze(-1)
