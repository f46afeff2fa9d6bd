"""Lets errors in methods that Qt calls reach the exception hook on Python 3.11, where they would end the program.

What C code raises as a type and a message (``int("x")``, ``1 / 0``) Python 3.11 keeps as these two until an ``except``
looks at it; the binding takes the message for an exception, and crashes. See docs/adr/0009-errors-in-qt-overrides.md.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

from shiboken6 import Shiboken

_OURS = "pspnet_studio"
_IS_NEEDED = sys.version_info < (3, 12)
# Looking at the error is what makes it whole.
_SHELL = """
def shell(method_of_ours):
    def call({declared}):
        try:
            return method_of_ours({given})
        except BaseException:
            raise
    return call
"""


def install() -> None:
    """Guard all classes of the program, those that are there and those that will be made; before any object is."""
    if not _IS_NEEDED or "__init_subclass__" in vars(Shiboken.Object):
        return

    def init_subclass(cls: type, **options: Any) -> None:
        super(Shiboken.Object, cls).__init_subclass__(**options)  # type: ignore[arg-type]
        guard(cls)

    Shiboken.Object.__init_subclass__ = classmethod(init_subclass)  # type: ignore[assignment]
    waiting = [Shiboken.Object]
    while waiting:
        waiting += (made := waiting.pop()).__subclasses__()
        guard(made)


def guard(cls: type) -> None:
    """Wrap what overrides a method of the binding in a class of the program, also in what is mixed into it."""
    if not _is_ours(cls):
        return
    bases = [base for base in cls.__mro__ if issubclass(base, Shiboken.Object) and not _is_ours(base)]
    for owner in filter(_is_ours, cls.__mro__):
        for name, method in list(vars(owner).items()):
            is_override = not name.startswith("__") and any(name in vars(base) for base in bases)
            if isinstance(method, FunctionType) and is_override and not is_guarded(method):
                setattr(owner, name, _guarded(method))


def is_guarded(method: Callable[..., Any]) -> bool:
    """Whether an error of this method reaches the hook."""
    return hasattr(method, "_guards")


def _is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == _OURS


def _guarded(method: FunctionType) -> Callable[..., Any]:
    call = functools.wraps(method)(_shell(*_parameters(method))(method))
    call.__defaults__, call.__kwdefaults__ = method.__defaults__, method.__kwdefaults__  # type: ignore[attr-defined]
    call._guards = method  # type: ignore[attr-defined]
    return call


def _parameters(method: FunctionType) -> tuple[str, str]:
    """As they are declared, and as they are handed on: a signal gives a slot no more than it declares."""
    code = method.__code__
    num_plain, num_named = code.co_argcount, code.co_kwonlyargcount
    names = code.co_varnames
    plain, named = names[:num_plain], names[num_plain : num_plain + num_named]
    rest = iter(names[num_plain + num_named :])
    several = f"*{next(rest)}" if code.co_flags & inspect.CO_VARARGS else ""
    options = f"**{next(rest)}" if code.co_flags & inspect.CO_VARKEYWORDS else ""
    declared = [*plain, several or "*" * bool(named), *named, options]
    given = [*plain, several, *(f"{name}={name}" for name in named), options]
    return ", ".join(filter(None, declared)), ", ".join(filter(None, given))


@functools.cache
def _shell(declared: str, given: str) -> Callable[[FunctionType], Callable[..., Any]]:
    made: dict[str, Any] = {}
    exec(_SHELL.format(declared=declared, given=given), made)
    return made["shell"]  # type: ignore[no-any-return]
