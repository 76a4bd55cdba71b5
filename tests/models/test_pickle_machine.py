"""The interpreter of pickles: what it builds, and that nothing else ever happens."""

from __future__ import annotations

import collections
import copyreg
import math
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.pickle_machine import DEEPEST_TUPLE, Foreign, Refused, Rules, unpickled
from tests.models.torch_files import number, program, text


def persistent(identity: Any) -> Any:
    return ("persistent", identity)


RULES = Rules(
    builders={"collections.OrderedDict": lambda args: {}, "builtins.set": lambda args: args[0]},
    values=frozenset({"torch.FloatStorage"}),
    is_foreign=lambda name: name.startswith("isegm."),
    persistent=persistent,
)

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 64), 1 << 64)
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(-9, 9), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(plain, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values_come_out_as_python_reads_them(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol=protocol)
    assert unpickled(data, RULES) == (value, len(data))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_tables_sets_and_shared_values(protocol: int) -> None:
    shared = [1.5, "a"]
    value = [shared, shared, collections.OrderedDict(a=1) if protocol > 1 else {"a": 1}, {3}]
    data = pickle.dumps(value, protocol=protocol).replace(b"__builtin__", b"builtins")
    found, _ = unpickled(data, RULES)
    assert found == [shared, shared, {"a": 1}, [3]]
    assert found[0] is found[1]


def test_several_pickles_in_a_row() -> None:
    data = pickle.dumps([1], 2) + pickle.dumps("two", 2)
    first, end = unpickled(data, RULES)
    assert (first, unpickled(data, RULES, end)) == ([1], ("two", len(data)))


FOREIGN = {
    "an object made by calling": b"cisegm.loss\nLoss\n(K\x01tR",
    "an object made without": b"cisegm.loss\nLoss\n)\x81",
    "an object made with keywords": b"cisegm.loss\nLoss\n)}\x92",
    "an old object": b"(K\x01iisegm.loss\nLoss\n",
    "another old object": b"(cisegm.loss\nLoss\nK\x01o",
    "an object with a state": b"cisegm.loss\nLoss\n)\x81}(X\x01\x00\x00\x00aK\x01ub",
    "an object with a state twice": b"cisegm.loss\nLoss\n)\x81}}\x86b",
    "a list of its own kind": b"cisegm.loss\nLoss\n)\x81(K\x01K\x02e",
    "a table of its own kind": b"cisegm.loss\nLoss\n)\x81(K\x01K\x02u",
    "a name from the stack": text("isegm.loss") + text("Loss") + b"\x93)R",
    "bytes": b"C\x03abc",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_objects_swallow_everything(name: str) -> None:
    value, _ = unpickled(program(FOREIGN[name]), RULES)
    assert isinstance(value, Foreign)


REFUSED = {
    "a call": (b"cos\nsystem\n(X\x01\x00\x00\x00xtR", r"asks for 'os\.system'"),
    "a mere mention": (b"cos\nsystem\n", r"asks for 'os\.system'"),
    "a name from the stack": (text("os") + text("system") + b"\x93", r"asks for 'os\.system'"),
    "a way through attributes": (b"cbuiltins\nset.__class__.mro\n", "asks for"),
    "an old call": (b"(X\x01\x00\x00\x00xios\nsystem\n", r"asks for 'os\.system'"),
    "an old call with a class": (b"(cos\nsystem\nX\x01\x00\x00\x00xo", r"asks for 'os\.system'"),
    "a registered extension": (b"\x82\x01", "the operation EXT1"),
    "a persistent name": (b"Pabc\n", "the operation PERSID"),
    "a byte array": (b"\x96" + (3).to_bytes(8, "little") + b"abc", "the operation BYTEARRAY8"),
    "a call of a value": (b"ctorch\nFloatStorage\n)R", "not to be called"),
    "a call of a text": (text("os.system") + b")R", "something that is no name"),
    "a call of a foreign object": (b"cisegm.loss\nLoss\n)R)R", "something that is no name"),
    "a call with arguments that are none": (b"cisegm.loss\nLoss\n]R", "is no name"),
    "a call with keywords": (b"cisegm.loss\nLoss\n)}(K\x01K\x02u\x92", "with keywords"),
    "attributes of a name": (b"cisegm.loss\nLoss\n}b", "sets attributes"),
    "attributes of a list": (b"]}b", "sets attributes"),
    "items of a list": (b"]K\x01K\x02s", "sets items"),
    "items of a name": (b"cisegm.loss\nLoss\nK\x01K\x02s", "sets items"),
    "members of a table": (b"}K\x01a", "appends to"),
    "a key without a value": (b"}(K\x01u", "a key has no value"),
    "a key of another kind": (b"})K\x01s", "neither texts nor small"),
    "a key with a hash of its choice": (b"}" + number(2**61 - 1) + b"K\x01s", "neither texts"),
    "a memo of absurd size": (b"Np" + str(2**61 - 1).encode() + b"\n", "neither texts"),
    "a huge integer": (b"\x8b" + (500).to_bytes(4, "little") + b"\x7f" * 500, "absurd size"),
    "an integer of many digits": (b"I" + b"9" * 5000 + b"\n", "damaged"),
    "what was never stored": (b"h\x07", "never stored"),
    "an empty stack": (b"", "a value is missing"),
    "too short a tuple": (b"K\x01\x86", "a value is missing"),
    "no mark": (b"K\x01t", "a mark is missing"),
    "a name that is a number": (text("os") + b"K\x01\x93", "a name is no text"),
    "a length beyond the end": (b"\x8d" + (1 << 62).to_bytes(8, "little") + b"a", "damaged"),
    "an unknown operation": (b"\xfe", "damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_anything_else_is_refused(name: str) -> None:
    operations, match = REFUSED[name]
    with pytest.raises(Refused, match=match):
        unpickled(program(operations), RULES)


def test_an_extension_registered_in_this_process_is_refused() -> None:
    copyreg.add_extension("os", "system", 7)
    try:
        with pytest.raises(Refused, match="EXT1"):
            unpickled(program(b"\x82\x07"), RULES)
    finally:
        copyreg.remove_extension("os", "system", 7)


def test_depth_costs_nothing() -> None:
    value, _ = unpickled(program(b"]" * 200_000 + b"a" * 199_999), RULES)
    assert isinstance(value, list)
    value, _ = unpickled(program(b"(" * 200_000 + b"l" * 200_000), RULES)
    assert isinstance(value, list)


def test_tuples_within_tuples_are_bounded() -> None:
    """To hash them takes as many frames as they are deep."""
    value, _ = unpickled(program(b")" + b"\x85" * (DEEPEST_TUPLE - 1)), RULES)
    assert isinstance(value, tuple)
    for deep in (
        b")" + b"\x85" * 400_000,
        b"(" * 200_000 + b"t" * 200_000,
        b"K\x00" + b"\x85" * 99,
    ):
        with pytest.raises(Refused, match="too deep"):
            unpickled(program(deep), RULES)
    # Many that lie side by side, made and dropped again, are no deep ones.
    value, _ = unpickled(
        program(b"K\x00\x85\x850" * 9999 + b"]" + b"(K\x00\x85\x85e" * 9999), RULES
    )
    assert len(value) == 9999


def test_a_pickle_without_end_is_cut_off() -> None:
    with pytest.raises(Refused, match="far longer"):
        unpickled(b"N0" * 600_000 + b".", RULES)
    with pytest.raises(Refused, match="far longer"):
        unpickled((b"X" + (1 << 20).to_bytes(4, "little") + b"a" * (1 << 20)) * 9 + b".", RULES)
    with pytest.raises(Refused, match=r"damaged|in the middle"):
        unpickled(b"N0", RULES)


EVENTS = (
    "import",
    "exec",
    "compile",
    "open",
    "os.",
    "subprocess.",
    "pickle.",
    "ctypes.",
    "socket.",
)
_seen: list[str] | None = None


def _record(event: str, _: tuple[Any, ...]) -> None:
    if _seen is not None and event.startswith(EVENTS):
        _seen.append(event)


@pytest.fixture(scope="module", autouse=True)
def _hook() -> None:
    """An audit hook cannot be taken away again, only ignored."""
    sys.addaudithook(_record)


@contextmanager
def audited() -> Iterator[list[str]]:
    """What the interpreter imports, opens, compiles or starts meanwhile."""
    global _seen  # noqa: PLW0603
    _seen = []
    try:
        yield _seen
    finally:
        _seen = None


def test_the_audit_sees_what_a_pickle_does() -> None:
    with audited() as events:
        pickle.loads(b"cos\ngetpid\n)R.")  # noqa: S301
    assert "pickle.find_class" in events


OPERATIONS = st.sampled_from(
    [bytes([code]) for code in range(256)]
    + [b"cos\nsystem\n", b"cbuiltins\neval\n", b"ccollections\nOrderedDict\n", b"(ios\nsystem\n"]
    + [b"cbuiltins\nset\n", b"ctorch\nFloatStorage\n", b"cisegm.loss\nLoss\n", b"K\x01", b"h\x00"]
    + [b"q\x00", b"q\x01", b"h\x01", b"M\x01\x00", text("__setstate__"), text("os"), text("system")]
    + [text("__class__"), b"(", b"t", b"R", b"\x81", b"b", b"]", b"}", b")", b"\x85", b"a", b"s"]
)


@given(st.lists(OPERATIONS, max_size=60).map(b"".join))
def test_no_program_does_anything(operations: bytes) -> None:
    with audited() as events:
        try:
            unpickled(program(operations), RULES)
        except Refused as refusal:
            assert str(refusal).isprintable()
    assert not events


def test_numbers_that_are_none_are_numbers() -> None:
    value, _ = unpickled(pickle.dumps([math.inf, -0.0, 2**127, True]), RULES)
    assert value == [math.inf, 0.0, 2**127, True]
