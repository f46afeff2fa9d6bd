"""Reads a pickle without running anything of it: its opcodes are followed, and its globals stand for functions of ours.

Python's own unpickler imports and calls what a pickle names. Here a name that is not in the caller's table ends the
reading, and a name that is there gets the caller's function, whatever module it names. Lengths are never believed: an
argument is cut out of the bytes that are there.
"""

from __future__ import annotations

import mmap
import pickletools
import reprlib
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Stream = bytes | mmap.mmap

# What functions make may take so much memory: a few times the file, and a little for small ones. Their arguments can be
# referred to again and again for two bytes, so that without a limit a short file would make gigabytes.
_BYTES_PER_BYTE = 4
_BYTES_ANYWAY = 1 << 16
_SHOWN = 200  # characters of a name or an error in a message


class DamagedPickleError(Exception):
    """The bytes are not a whole, well-formed pickle."""


class RefusedPickleError(Exception):
    """The pickle names something that has no place in a file of weights."""


@dataclass(frozen=True, slots=True)
class Function:
    """What a global of a pickle stands for: it is called instead of what the name says."""

    call: Callable[..., Any]


class Buildable:
    """An object whose state a pickle may set after it was made."""

    @property
    def num_bytes(self) -> int:
        """What it holds, as if that were shared with nothing else."""
        return 0

    def build(self, state: Any) -> None:
        """Take the state, or raise RefusedPickleError."""
        raise NotImplementedError


def read_pickle(
    stream: Stream,
    symbols: Mapping[str, Any],
    load_persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """The object that a pickle describes.

    Args:
        stream: The pickle; a memory map is read from its position and left behind the pickle.
        symbols: "module.name" -> what stands for it; a :class:`Function` may be called, all others only be passed on.
        load_persistent: What a persistent id stands for; None = there may be none.

    Raises:
        DamagedPickleError: It is cut off or no pickle.
        RefusedPickleError: It names or does something that is not in ``symbols``.
    """
    machine = _Machine(symbols, load_persistent, _BYTES_PER_BYTE * len(stream) + _BYTES_ANYWAY)
    try:
        for opcode, argument, _ in pickletools.genops(stream):  # type: ignore[arg-type]  # it only reads
            machine.step(opcode.name, argument)
        return machine.result
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DamagedPickleError(f"{type(error).__name__}: {str(error)[:_SHOWN]}") from error


def show(value: Any) -> str:
    """``value`` for a message, in some hundred characters however large, deep or often shared its parts are."""
    return _SHORT.repr(value)


class _Short(reprlib.Repr):
    """Looks only at what it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxtuple = self.maxlist = self.maxdict = 6
        self.maxstring = self.maxother = 60
        self.maxlong = 128

    def repr_bytes(self, value: bytes, level: int) -> str:
        return repr(value[: self.maxstring]) + ("..." if len(value) > self.maxstring else "")

    def repr_bytearray(self, value: bytearray, level: int) -> str:
        return self.repr_bytes(bytes(value[: self.maxstring + 1]), level)

    def repr_int(self, value: int, level: int) -> str:
        bits = value.bit_length()
        return repr(value) if bits < self.maxlong else f"<int of {bits} bits>"

    def repr_instance(self, value: Any, level: int) -> str:
        return repr(value) if isinstance(value, bool | float | None) else f"<{type(value).__name__}>"


_SHORT = _Short()


def plain_dict(pairs: Iterable[Any] = ()) -> dict[Any, Any]:
    """A dictionary with numbers and texts as keys: to hash a deeply nested key would overflow the stack.

    Raises:
        RefusedPickleError: A key is something else.
    """
    result = {}
    for key, value in pairs:
        if not isinstance(key, str | int | float | bytes | None):
            raise RefusedPickleError(f"A dictionary has a {type(key).__name__} as key.")
        result[key] = value
    return result


class _Machine:
    """The stack machine of pickle, as far as files of weights need it."""

    def __init__(
        self, symbols: Mapping[str, Any], load_persistent: Callable[[Any], Any] | None, max_bytes: int
    ) -> None:
        self.symbols = symbols
        self.load_persistent = load_persistent
        self.max_bytes = max_bytes
        self.num_bytes = 0
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.result: Any = None

    def step(self, name: str, argument: Any) -> None:
        """Follow one opcode."""
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        elif name not in ("PROTO", "FRAME"):
            raise RefusedPickleError(f"It uses the instruction {name}, which no file of weights needs.")

    def find(self, name: str) -> None:
        """Push what a global stands for."""
        if name not in self.symbols:
            short = name[:_SHOWN]
            raise RefusedPickleError(f"It names {short}; loading it the usual way would run code: {short}.")
        self.stack.append(self.symbols[name])

    def find_on_stack(self) -> None:
        """The same with the name on the stack."""
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise RefusedPickleError(f"It names {show(name)} of {show(module)}, which are no names.")
        self.find(f"{module}.{name}")

    def call(self) -> None:
        """Call a function of ours."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Function) or not isinstance(arguments, tuple):
            raise RefusedPickleError("It calls something that is not a function.")
        made = function.call(*arguments)
        self.spend(sys.getsizeof(made) + (made.num_bytes if isinstance(made, Buildable) else 0))
        self.stack.append(made)

    def spend(self, num_bytes: int) -> None:
        """Count what was made of arguments that may have been used before."""
        self.num_bytes += num_bytes
        if self.num_bytes > self.max_bytes:
            raise RefusedPickleError(f"It would make more than {self.max_bytes} bytes of a file that is much smaller.")

    def build(self) -> None:
        """Give an object its state; attributes of dictionaries (torch's ``_metadata``) are not needed."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Buildable):
            target.build(state)
            self.spend(target.num_bytes)
        elif type(target) is not dict:
            raise RefusedPickleError(f"It sets the state of a {type(target).__name__}.")

    def persistent(self) -> None:
        """Push what a persistent id stands for."""
        if self.load_persistent is None:
            raise RefusedPickleError("It refers to something outside of itself.")
        self.stack.append(self.load_persistent(self.stack.pop()))

    def mark(self) -> None:
        """Begin a group of values."""
        self.marks.append(self.stack)
        self.stack = []

    def group(self) -> list[Any]:
        """The values since the last mark."""
        values = self.stack
        self.stack = self.marks.pop()
        return values

    def push(self, value: Any) -> None:
        """Push one value."""
        self.stack.append(value)

    def take(self, count: int) -> tuple[Any, ...]:
        """The last values, taken off the stack."""
        if len(self.stack) < count:
            raise IndexError("stack is empty")
        values = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        return values

    def remember(self, index: int) -> None:
        """Keep the last value under a number."""
        self.memo[index] = self.stack[-1]

    def extend(self, values: list[Any]) -> None:
        """Add to the list on the stack."""
        if type(self.stack[-1]) is not list:
            raise RefusedPickleError(f"It appends to a {type(self.stack[-1]).__name__}.")
        self.stack[-1].extend(values)

    def set_items(self, values: list[Any]) -> None:
        """Add to the dictionary on the stack."""
        if type(self.stack[-1]) is not dict:
            raise RefusedPickleError(f"It sets items of a {type(self.stack[-1]).__name__}.")
        self.stack[-1].update(plain_dict(zip(values[::2], values[1::2], strict=True)))

    def stop(self) -> None:
        """The end: the last value is the result."""
        self.result = self.stack.pop()


# fmt: off
_VALUES = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "UNICODE", "SHORT_BINUNICODE",
    "BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "BYTEARRAY8",
))
# fmt: on
_CONSTANTS: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
_ACTIONS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "GLOBAL": lambda m, argument: m.find(str(argument).replace(" ", ".", 1)),
    "STACK_GLOBAL": lambda m, _: m.find_on_stack(),
    "REDUCE": lambda m, _: m.call(),
    "NEWOBJ": lambda m, _: m.call(),
    "BUILD": lambda m, _: m.build(),
    "BINPERSID": lambda m, _: m.persistent(),
    "MARK": lambda m, _: m.mark(),
    "TUPLE": lambda m, _: m.push(tuple(m.group())),
    "LIST": lambda m, _: m.push(m.group()),
    "TUPLE1": lambda m, _: m.push(m.take(1)),
    "TUPLE2": lambda m, _: m.push(m.take(2)),
    "TUPLE3": lambda m, _: m.push(m.take(3)),
    "APPEND": lambda m, _: m.extend(list(m.take(1))),
    "APPENDS": lambda m, _: m.extend(m.group()),
    "SETITEM": lambda m, _: m.set_items(list(m.take(2))),
    "SETITEMS": lambda m, _: m.set_items(m.group()),
    "BINPUT": lambda m, argument: m.remember(argument),
    "LONG_BINPUT": lambda m, argument: m.remember(argument),
    "MEMOIZE": lambda m, _: m.remember(len(m.memo)),
    "BINGET": lambda m, argument: m.push(m.memo[argument]),
    "LONG_BINGET": lambda m, argument: m.push(m.memo[argument]),
    "STOP": lambda m, _: m.stop(),
}
