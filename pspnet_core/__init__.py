"""The core of PSPNet Studio: everything that runs without a screen.

Importing this package imports neither torch nor Qt; the modules that need torch import it themselves.
"""

__version__ = "0.1.0"
