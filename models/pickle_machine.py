"""A pickle interpreter that builds plain values and can do nothing else.

Python's own unpickler calls whatever a file names; refusing names one by one leaves its other
doors open (attributes set through BUILD, `__setstate__` of real objects, methods reached by name).
Here nothing of the sort exists: names stay strings, a call is looked up in a table of our own
functions, and every object of a file is a dict, a list, a tuple, a number, a text or a `Foreign`.
No Python object is ever imported, constructed or changed on a file's behalf.

The format: `pickletools` in the standard library, whose `genops` splits the bytes into operations.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MOST_BYTES = 8 << 20
"""A longer pickle is refused. The weights themselves are not part of it."""

MOST_OPERATIONS = 1_000_000
"""Of one pickle; a network of two thousand tensors takes sixty thousand."""

LONGEST_INTEGER = 1 << 128

DEEPEST_TUPLE = 32
"""Tuples within tuples. Their hash is found by going down, and too deep ends the process."""


class Refused(ValueError):
    """Bytes that are no pickle of plain values; the message says what was found."""


@dataclass(frozen=True, slots=True)
class Global:
    """A name that a file mentions, `module.name`. It is never looked up."""

    name: str


@dataclass(frozen=True, slots=True)
class Foreign:
    """What stands for an object of code that is not here. It swallows whatever is done to it."""

    name: str


Builder = Callable[[tuple[Any, ...]], Any]
"""What a call becomes: a function of its arguments that must not copy what may be large."""


@dataclass(frozen=True)
class Rules:
    """What names a pickle may mention.

    `builders` are those that may be called, with what a call becomes. `values` may be mentioned,
    but not called. Calls of what `is_foreign` gives a `Foreign`. All others are refused.
    `persistent` turns a persistent id, a plain value, into what it stands for.
    """

    builders: Mapping[str, Builder]
    values: frozenset[str]
    is_foreign: Callable[[str], bool]
    persistent: Callable[[Any], Any]

    def named(self, module: str, name: str) -> Global:
        """A name. Raises Refused where it may not be mentioned."""
        full = f"{module}.{name}"
        if full in self.builders or full in self.values or self.is_foreign(full):
            return Global(full)
        raise Refused(f"it asks for {shown(full)}, which no weights need")

    def called(self, callee: object, args: object) -> Any:
        """What calling a name gives. Raises Refused."""
        if not isinstance(callee, Global) or not isinstance(args, tuple):
            raise Refused("it calls something that is no name")
        if callee.name in self.builders:
            return self.builders[callee.name](args)
        if self.is_foreign(callee.name):
            return Foreign(callee.name)
        raise Refused(f"it calls {shown(callee.name)}, which is not to be called")


def shown(text: str) -> str:
    """A text from a file, fit for a sentence."""
    return ascii(text[:80])


def unpickled(data: bytes, rules: Rules, start: int = 0) -> tuple[Any, int]:
    """The value of the pickle that begins at `start`, and where it ends. Raises Refused.

    Lists, dicts and tuples may be shared and may contain themselves, as they may in a pickle.
    """
    stream = io.BytesIO(data)
    stream.seek(start)
    machine = _Machine(rules)
    try:
        for count, (opcode, argument, position) in enumerate(pickletools.genops(stream)):
            if count >= MOST_OPERATIONS or (position or 0) - start > MOST_BYTES:
                raise Refused("it is far longer than the description of any network")
            if opcode.name == "STOP":
                return machine.pop(), stream.tell()
            machine.step(opcode.name, argument)
    except Refused:
        raise
    except (ValueError, OverflowError) as error:
        raise Refused(f"it is damaged: {str(error)[:120]}") from None
    raise Refused("it ends in the middle")


class _Machine:
    """The stack, its marks and the memo."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int | str, Any] = {}
        self.depths: dict[int, int] = {}

    def step(self, name: str, argument: Any) -> None:
        """Do one operation. Raises Refused for an unknown or impossible one."""
        if name in _IGNORED:
            return
        if name in _PUSHED:
            self.stack.append(_bounded(argument))
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _OPERATIONS:
            _OPERATIONS[name](self, argument)
        else:
            raise Refused(f"it uses the operation {name}, which no weights need")

    def pop(self) -> Any:
        """The top of the stack, removed."""
        if not self.stack:
            raise Refused("it is damaged: a value is missing")
        return self.stack.pop()

    def top(self) -> Any:
        """The top of the stack, which stays."""
        if not self.stack:
            raise Refused("it is damaged: a value is missing")
        return self.stack[-1]

    def pop_marked(self) -> list[Any]:
        """All values since the last mark, removed with it."""
        if not self.marked:
            raise Refused("it is damaged: a mark is missing")
        values, self.stack = self.stack, self.marked.pop()
        return values

    def mark(self, _: Any) -> None:
        """MARK."""
        self.marked.append(self.stack)
        self.stack = []

    def discard(self, _: Any) -> None:
        """POP: a value, or a mark without any."""
        if self.stack:
            self.stack.pop()
        else:
            self.pop_marked()

    def discard_marked(self, _: Any) -> None:
        """POP_MARK."""
        self.pop_marked()

    def duplicate(self, _: Any) -> None:
        """DUP."""
        self.stack.append(self.top())

    def put(self, index: Any) -> None:
        """PUT, BINPUT, LONG_BINPUT and, without an index, MEMOIZE."""
        index = len(self.memo) if index is None else index
        self.memo[_key(index)] = self.top()

    def get(self, index: Any) -> None:
        """GET, BINGET, LONG_BINGET."""
        if index not in self.memo:
            raise Refused("it is damaged: it recalls what it never stored")
        self.stack.append(self.memo[index])

    def tuple_of(self, count: int) -> None:
        """TUPLE1, TUPLE2, TUPLE3."""
        values = [self.pop() for _ in range(count)]
        self._push_tuple(values[::-1])

    def tuple_marked(self, _: Any) -> None:
        """TUPLE."""
        self._push_tuple(self.pop_marked())

    def list_marked(self, _: Any) -> None:
        """LIST, and FROZENSET: the order of a set's members says nothing."""
        values = self.pop_marked()
        self.stack.append(values)

    def dict_marked(self, _: Any) -> None:
        """DICT."""
        pairs = self.pop_marked()
        self.stack.append({})
        self._set_items(pairs)

    def append(self, _: Any) -> None:
        """APPEND."""
        self._extend([self.pop()])

    def extend(self, _: Any) -> None:
        """APPENDS, ADDITEMS."""
        self._extend(self.pop_marked())

    def set_item(self, _: Any) -> None:
        """SETITEM."""
        value, key = self.pop(), self.pop()
        self._set_items([key, value])

    def set_items(self, _: Any) -> None:
        """SETITEMS."""
        self._set_items(self.pop_marked())

    def named(self, argument: str) -> None:
        """GLOBAL."""
        module, _, name = argument.partition(" ")
        self.stack.append(self.rules.named(module, name))

    def named_on_stack(self, _: Any) -> None:
        """STACK_GLOBAL."""
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise Refused("it is damaged: a name is no text")
        self.stack.append(self.rules.named(module, name))

    def call(self, _: Any) -> None:
        """REDUCE, NEWOBJ."""
        args, callee = self.pop(), self.pop()
        self.stack.append(self.rules.called(callee, args))

    def call_with_keywords(self, _: Any) -> None:
        """NEWOBJ_EX: keywords only for what ignores them."""
        if self.pop():
            raise Refused("it calls something with keywords")
        self.call(None)

    def call_marked(self, argument: str) -> None:
        """INST."""
        module, _, name = argument.partition(" ")
        args = tuple(self.pop_marked())
        self.stack.append(self.rules.called(self.rules.named(module, name), args))

    def call_all_marked(self, _: Any) -> None:
        """OBJ."""
        values = self.pop_marked()
        if not values:
            raise Refused("it is damaged: a value is missing")
        self.stack.append(self.rules.called(values[0], tuple(values[1:])))

    def build(self, _: Any) -> None:
        """BUILD: the attributes of a foreign object and of a table are left out."""
        self.pop()
        if not isinstance(self.top(), dict | Foreign):
            raise Refused("it sets attributes of something that has none")

    def persistent(self, _: Any) -> None:
        """BINPERSID."""
        self.stack.append(self.rules.persistent(self.pop()))

    def _push_tuple(self, values: list[Any]) -> None:
        """A tuple. How deep each goes is kept by its address, which every new tuple renews."""
        inside = (self.depths.get(id(value), 1) for value in values if isinstance(value, tuple))
        depth = 1 + max(inside, default=0)
        if depth > DEEPEST_TUPLE:
            raise Refused("it nests tuples too deep")
        self.stack.append(tuple(values))
        self.depths[id(self.stack[-1])] = depth

    def _extend(self, values: list[Any]) -> None:
        target = self.top()
        if isinstance(target, list):
            target.extend(values)
        elif not isinstance(target, Foreign):
            raise Refused("it appends to something that is no list")

    def _set_items(self, pairs: list[Any]) -> None:
        target = self.top()
        if len(pairs) % 2:
            raise Refused("it is damaged: a key has no value")
        if isinstance(target, Foreign):
            return
        if not isinstance(target, dict):
            raise Refused("it sets items of something that is no table")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[_key(key)] = value


def _bounded(value: Any) -> Any:
    """A number or text. Huge integers are refused: to print one may take for ever."""
    if isinstance(value, int) and abs(value) > LONGEST_INTEGER:
        raise Refused("it holds an integer of absurd size")
    return value


def _key(key: object) -> str | int:
    """A key whose hash cannot be chosen at will: of texts it is secret, of small integers known."""
    if isinstance(key, str) or (type(key) is int and abs(key) < 1 << 31):
        return key
    raise Refused("it has a table with keys that are neither texts nor small integers")


_IGNORED = frozenset({"PROTO", "FRAME"})

_PUSHED = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE"}
    | {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
)
"""Operations whose argument is the value."""

_CONSTANTS: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_SET": list,
    "EMPTY_DICT": dict,
    "BINBYTES": lambda: Foreign("bytes"),
    "SHORT_BINBYTES": lambda: Foreign("bytes"),
    "BINBYTES8": lambda: Foreign("bytes"),
}

_OPERATIONS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.discard,
    "POP_MARK": _Machine.discard_marked,
    "DUP": _Machine.duplicate,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "TUPLE": _Machine.tuple_marked,
    **dict.fromkeys(("LIST", "FROZENSET"), _Machine.list_marked),
    "DICT": _Machine.dict_marked,
    "APPEND": _Machine.append,
    **dict.fromkeys(("APPENDS", "ADDITEMS"), _Machine.extend),
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": _Machine.named,
    "STACK_GLOBAL": _Machine.named_on_stack,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _Machine.call),
    "NEWOBJ_EX": _Machine.call_with_keywords,
    "INST": _Machine.call_marked,
    "OBJ": _Machine.call_all_marked,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent,
}
"""All others are refused: EXT1 and its kin, PERSID, byte arrays and out-of-band buffers."""
