"""ICC profiles made of nothing but numbers, and what their colours are in sRGB by the formulas alone."""

from __future__ import annotations

import struct

import numpy as np

# Primaries adapted to D50 (columns X, Y, Z of red, green and blue); Adobe RGB (1998) 4.3.5.1, IEC 61966-2-1 for sRGB.
WIDE = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
GAMMA = 563 / 256


def wide_gamut_profile() -> bytes:
    """A profile of RGB values as Adobe RGB (1998) has them."""
    tags = [(name, _xyz(WIDE[:, n])) for n, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))]
    tags += [(name, _gamma(GAMMA)) for name in (b"rTRC", b"gTRC", b"bTRC")]
    return _profile(b"RGB ", tags)


def grey_profile(gamma: float) -> bytes:
    """A profile of grey values."""
    return _profile(b"GRAY", [(b"kTRC", _gamma(gamma))])


def wide_to_srgb(pixels: np.ndarray) -> np.ndarray:
    """(..., 3) float in 0 to 255: what :func:`wide_gamut_profile` means, in sRGB."""
    linear = (pixels / 255.0) ** GAMMA @ WIDE.T @ np.linalg.inv(SRGB).T
    return encoded(linear)


def encoded(linear: np.ndarray) -> np.ndarray:
    """Linear light as sRGB values in 0 to 255."""
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _profile(space: bytes, tags: list[tuple[bytes, bytes]]) -> bytes:
    tags = [(b"desc", _text(b"made for a test")), (b"wtpt", _xyz(np.array([0.9642, 1.0, 0.8249]))), *tags]
    offset = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, value in tags:
        table += struct.pack(">4sII", name, offset + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    size = offset + len(data)
    header = struct.pack(">I4sI4s4s4s", size, b"", 0x02400000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    header += struct.pack(">3i", *(round(v * 65536) for v in (0.9642, 1.0, 0.8249)))
    return header.ljust(128, b"\0") + table + data


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(v) * 65536) for v in values))


def _gamma(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def _text(text: bytes) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + bytes(1 + 12 + 67)
