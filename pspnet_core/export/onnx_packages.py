"""The packages that an export to ONNX needs. Imports neither them nor torch."""

from __future__ import annotations

from importlib.util import find_spec

from pspnet_core.errors import PspnetError

PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def require_onnx() -> None:
    """Raises: PspnetError: A package is not installed."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise not_installed(f"Not installed: {', '.join(missing)}.")


def not_installed(detail: str) -> PspnetError:
    """What to tell when they cannot be used."""
    return PspnetError(
        "The packages for ONNX are missing.", detail, 'Install them: pip install "pspnet-studio[onnx]", then try again.'
    )
