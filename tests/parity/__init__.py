"""Comparison with mmsegmentation, in an environment of its own (`make parity`); not part of the default run."""
