"""The kernel language: Python that reads like the mathematics and emits LLVM IR as text.

A kernel is a Python function that builds a `Function` with `Value`s: operators are arithmetic, `with f.loop(0, n) as i`
is a loop, `with f.when(cond)` a branch, `f.variable(...)` a mutable cell (a register after LLVM's sroa pass). Plain
Python numbers are constants and are folded where both operands are known.

What the language takes care of, so that no kernel author meets it twice: alignments are always explicit; addresses are
made by getelementptr, never through integers; every function carries the attributes that keep LLVM at the target's
full vector width; FMA is emitted as multiply and add where the CPU lacks it, and 16-bit floats are converted by
integer operations there (LLVM would call library functions that do not exist in a JIT). Loads and stores of lanes are
masked, and a masked lane never touches memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from .target import Target

_BYTES = {"i1": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "half": 2, "float": 4, "double": 8, "ptr": 8}


@dataclass(frozen=True, slots=True)
class Type:
    """A scalar (lanes 0) or vector type of LLVM."""

    scalar: str
    lanes: int = 0

    def __str__(self) -> str:
        return f"<{self.lanes} x {self.scalar}>" if self.lanes else self.scalar

    @property
    def is_float(self) -> bool:
        return self.scalar in ("half", "float", "double")

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return _BYTES[self.scalar]

    @property
    def mangled(self) -> str:
        """The type's part of an intrinsic's name."""
        scalar = {"half": "f16", "float": "f32", "double": "f64", "ptr": "p0"}.get(self.scalar, self.scalar)
        return f"v{self.lanes}{scalar}" if self.lanes else scalar

    @property
    def element(self) -> Type:
        return Type(self.scalar)

    def of(self, lanes: int) -> Type:
        """The vector of so many such elements (0: the scalar)."""
        return Type(self.scalar, lanes)


I1, I8, I16, I32, I64 = Type("i1"), Type("i8"), Type("i16"), Type("i32"), Type("i64")
F32, F64, PTR = Type("float"), Type("double"), Type("ptr")


def _literal(number: int | float, scalar: Type) -> str:
    if scalar.scalar == "float":
        number = struct.unpack("<f", struct.pack("<f", number))[0]
    if scalar.is_float:
        return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"
    if number != int(number):
        raise ValueError(f"{number} is no {scalar}")
    return str(int(number))


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """One SSA value: a type, and the text by which IR names it."""

    f: Function
    type: Type
    ref: str

    def __add__(self, other: Operand) -> Value:
        return self if _is_zero(other) else self.f.binary("add", "fadd", self, other)

    def __radd__(self, other: Operand) -> Value:
        return self + other

    def __sub__(self, other: Operand) -> Value:
        return self if _is_zero(other) else self.f.binary("sub", "fsub", self, other)

    def __rsub__(self, other: Operand) -> Value:
        return self.f.binary("sub", "fsub", self.f.constant(other, self.type), self)

    def __mul__(self, other: Operand) -> Value:
        if isinstance(other, int) and not self.type.is_float:
            if other == 1:
                return self
            if other == 0:
                return self.f.constant(0, self.type)
        return self.f.binary("mul", "fmul", self, other)

    def __rmul__(self, other: Operand) -> Value:
        return self * other

    def __floordiv__(self, other: Operand) -> Value:
        """Signed division of integers that are not negative."""
        return self.f.binary("sdiv", "", self, other)

    def __mod__(self, other: Operand) -> Value:
        return self.f.binary("srem", "", self, other)

    def __neg__(self) -> Value:
        return self.f.emit(self.type, f"fneg {self.type} {self.ref}") if self.type.is_float else 0 - self

    def __and__(self, other: Operand) -> Value:
        return self.f.binary("and", "", self, other)

    def __or__(self, other: Operand) -> Value:
        return self.f.binary("or", "", self, other)

    def __xor__(self, other: Operand) -> Value:
        return self.f.binary("xor", "", self, other)

    def __lshift__(self, other: Operand) -> Value:
        return self.f.binary("shl", "", self, other)

    def __rshift__(self, other: Operand) -> Value:
        """Logical shift: zeros come in from the left."""
        return self.f.binary("lshr", "", self, other)

    def __lt__(self, other: Operand) -> Value:
        return self.f.compare("slt", self, other)

    def __le__(self, other: Operand) -> Value:
        return self.f.compare("sle", self, other)

    def __gt__(self, other: Operand) -> Value:
        return self.f.compare("sgt", self, other)

    def __ge__(self, other: Operand) -> Value:
        return self.f.compare("sge", self, other)

    def below(self, other: Operand) -> Value:
        """Unsigned <, so that one comparison tests 0 <= self < other."""
        return self.f.compare("ult", self, other)

    def equals(self, other: Operand) -> Value:
        return self.f.compare("eq", self, other)


Operand: TypeAlias = "Value | int | float"


def _is_zero(x: Operand) -> bool:
    return isinstance(x, int) and x == 0


class Variable:
    """A mutable cell of a function; sroa turns it into registers."""

    __slots__ = ("f", "ref", "type")

    def __init__(self, f: Function, type_: Type) -> None:
        self.f = f
        self.type = type_
        self.ref = f.name("v")
        f.cells.append(f"{self.ref} = alloca {type_}, align {max(8, type_.itemsize * max(1, type_.lanes))}")

    def get(self) -> Value:
        return self.f.emit(self.type, f"load {self.type}, ptr {self.ref}")

    def set(self, value: Operand) -> None:
        self.f.line(f"store {self.type} {self.f.constant(value, self.type).ref}, ptr {self.ref}")


class Module:
    """A set of functions that are compiled together."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.functions: list[Function] = []
        self.declarations: set[str] = set()

    @contextmanager
    def function(self, name: str, *, exported: bool = False, **parameters: Type) -> Iterator[Function]:
        """Define a function; its body is what the block emits. It returns what `give` was handed, or nothing."""
        f = Function(self, name, parameters, exported)
        yield f
        f.line("ret void" if f.given is None else f"ret {f.given.type} {f.given.ref}")
        self.functions.append(f)

    def text(self) -> str:
        """The module as LLVM IR."""
        bits = self.target.vector_bytes * 8
        attributes = (
            f'attributes #0 = {{ nounwind "min-legal-vector-width"="{bits}" "prefer-vector-width"="{bits}"'
            ' "frame-pointer"="none" }'
        )
        return "\n".join([*sorted(self.declarations), *(f.text() for f in self.functions), attributes, ""])


class Function:
    """One function being built; every method appends to its body."""

    def __init__(self, module: Module, name: str, parameters: dict[str, Type], exported: bool) -> None:
        self.module = module
        self.symbol = name
        self.exported = exported
        self.cells: list[str] = []
        self.body: list[str] = []
        self.given: Value | None = None
        self._count = 0
        self.args = {key: Value(self, type_, f"%{key}") for key, type_ in parameters.items()}

    # ---- raw emission

    def name(self, prefix: str = "t") -> str:
        self._count += 1
        return f"%.{prefix}{self._count}"  # the dot keeps clear of parameter names

    def line(self, text: str) -> None:
        self.body.append(text)

    def emit(self, type_: Type, text: str) -> Value:
        ref = self.name()
        self.body.append(f"{ref} = {text}")
        return Value(self, type_, ref)

    def text(self) -> str:
        parameters = ", ".join(f"{v.type} {v.ref}" for v in self.args.values())
        linkage = "" if self.exported else "internal "
        lines = "\n  ".join([*self.cells, *self.body])
        result = "void" if self.given is None else self.given.type
        return f"define {linkage}{result} @{self.symbol}({parameters}) #0 {{\nentry:\n  {lines}\n}}\n"

    def give(self, value: Value) -> None:
        """Make this what the function returns at its end."""
        self.given = value

    # ---- values

    def constant(self, x: Operand, type_: Type) -> Value:
        """A Python number as a value of that type; a Value passes as it is."""
        if isinstance(x, Value):
            return x
        if type_.lanes:
            if _is_zero(x):
                return Value(self, type_, "zeroinitializer")
            return Value(self, type_, f"splat ({type_.element} {_literal(x, type_.element)})")
        return Value(self, type_, _literal(x, type_))

    def zero(self, type_: Type) -> Value:
        return self.constant(0, type_)

    def lane_numbers(self, lanes: int) -> Value:
        """The vector <0, 1, 2, ...> of i64."""
        return self.vector(I64, range(lanes))

    def vector(self, element: Type, numbers: Sequence[int]) -> Value:
        """A constant vector."""
        lanes = ", ".join(f"{element} {_literal(n, element)}" for n in numbers)
        return Value(self, element.of(len(numbers)), f"<{lanes}>")

    def binary(self, int_op: str, float_op: str, a: Value, b: Operand) -> Value:
        other = self.constant(b, a.type)
        return self.emit(a.type, f"{float_op if a.type.is_float else int_op} {a.type} {a.ref}, {other.ref}")

    def compare(self, predicate: str, a: Value, b: Operand) -> Value:
        """Integer comparison; floats take LLVM's ordered and unordered predicates ("olt", "uno", ...)."""
        kind = "fcmp" if a.type.is_float else "icmp"
        return self.emit(I1.of(a.type.lanes), f"{kind} {predicate} {a.type} {a.ref}, {self.constant(b, a.type).ref}")

    def select(self, cond: Value, yes: Value, no: Operand) -> Value:
        other = self.constant(no, yes.type)
        return self.emit(yes.type, f"select {cond.type} {cond.ref}, {yes.type} {yes.ref}, {yes.type} {other.ref}")

    def _intrinsic(self, result: Type, name: str, args: Sequence[Value]) -> Value:
        types = ", ".join(str(a.type) for a in args)
        self.module.declarations.add(f"declare {result} @{name}({types})")
        return self.emit(result, f"call {result} @{name}({', '.join(f'{a.type} {a.ref}' for a in args)})")

    def smaller(self, a: Value, b: Operand) -> Value:
        """The smaller of two signed integers."""
        return self._intrinsic(a.type, f"llvm.smin.{a.type.mangled}", [a, self.constant(b, a.type)])

    def larger(self, a: Value, b: Operand) -> Value:
        """The larger of two signed integers."""
        return self._intrinsic(a.type, f"llvm.smax.{a.type.mangled}", [a, self.constant(b, a.type)])

    def splat(self, x: Value, lanes: int) -> Value:
        """The vector that holds x in every lane."""
        vector = x.type.of(lanes)
        first = self.emit(vector, f"insertelement {vector} poison, {x.type} {x.ref}, i64 0")
        return self.emit(
            vector, f"shufflevector {vector} {first.ref}, {vector} poison, <{lanes} x i32> zeroinitializer"
        )

    def mask_of_bits(self, bits: Value, lanes: int) -> Value:
        """The mask of the lanes that the low bits of an i64 name."""
        short = Type(f"i{lanes}")
        return self.emit(I1.of(lanes), f"bitcast {short} {self.cast('trunc', bits, short).ref} to <{lanes} x i1>")

    def is_full(self, mask: Value) -> Value:
        """Whether a mask names every lane."""
        bits = Type(f"i{mask.type.lanes}")
        return self.emit(bits, f"bitcast {mask.type} {mask.ref} to {bits}").equals(-1)

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """Lanes picked from two vectors, numbered through a and then b."""
        picks = ", ".join(f"i32 {i}" for i in lanes)
        result = a.type.of(len(lanes))
        return self.emit(result, f"shufflevector {a.type} {a.ref}, {b.type} {b.ref}, <{len(lanes)} x i32> <{picks}>")

    def interleave(self, vectors: Sequence[Value]) -> list[Value]:
        """Lane 0 of each vector, then lane 1 of each, ...: as many vectors as given."""
        count, lanes = len(vectors), vectors[0].type.lanes
        if count % 2 == 0:
            pairs = zip(self.interleave(vectors[0::2]), self.interleave(vectors[1::2]), strict=True)
            halves = [[half + i // 2 + lanes * (i % 2) for i in range(lanes)] for half in (0, lanes // 2)]
            return [self.shuffle(a, b, picks) for a, b in pairs for picks in halves]
        out = []
        for first in range(0, count * lanes, lanes):
            total = vectors[0]
            for n in range(1, count):  # the lanes of vectors up to n stand where they belong; of vector 0, all did not
                own = [i if n > 1 else (first + i) // count for i in range(lanes)]
                picks = [lanes + (first + i) // count if (first + i) % count == n else own[i] for i in range(lanes)]
                total = self.shuffle(total, vectors[n], picks)
            out.append(total)
        return out

    def deinterleave(self, vectors: Sequence[Value]) -> list[Value]:
        """The inverse of `interleave`: of n vectors' lanes, one after the other, every n-th from 0, from 1, ... on."""
        n, lanes = len(vectors), vectors[0].type.lanes
        if n % 2:
            return [self.every_nth(vectors, first) for first in range(n)]
        pairs = list(zip(vectors[0::2], vectors[1::2], strict=True))
        even, odd = (self.deinterleave([self.shuffle(a, b, range(i, 2 * lanes, 2)) for a, b in pairs]) for i in (0, 1))
        return [vector for pair in zip(even, odd, strict=True) for vector in pair]

    def every_nth(self, vectors: Sequence[Value], first: int) -> Value:
        """Of n vectors' lanes, one after the other, every n-th from `first` on: one shuffle for each but the first."""
        n, lanes = len(vectors), vectors[0].type.lanes
        places = [first + lane * n for lane in range(lanes)]
        out = self.shuffle(vectors[0], vectors[0], [min(place, lanes - 1) for place in places])
        for i, vector in enumerate(vectors[1:], 1):
            own = [lanes + place % lanes if place // lanes == i else lane for lane, place in enumerate(places)]
            out = self.shuffle(out, vector, own)
        return out

    def transpose(self, rows: Sequence[Value]) -> list[Value]:
        """The transpose of a square matrix of lanes, in registers: log2(lanes) rounds that exchange halves."""
        n = rows[0].type.lanes
        out = list(rows)
        half = n // 2
        while half:
            # Of rows i and i + half, swap the upper right with the lower left blocks of that size.
            low = [j if j % (2 * half) < half else n + j - half for j in range(n)]
            high = [j + half if j % (2 * half) < half else n + j for j in range(n)]
            for i in range(n):
                if i % (2 * half) < half:
                    a, b = out[i], out[i + half]
                    out[i], out[i + half] = self.shuffle(a, b, low), self.shuffle(a, b, high)
            half //= 2
        return out

    def multiply_add(self, a: Value, b: Value, c: Value) -> Value:
        """a*b + c, fused where the CPU can."""
        if a.type.is_float and self.module.target.has_fma:
            return self._intrinsic(a.type, f"llvm.fma.{a.type.mangled}", [a, b, c])
        return a * b + c

    def cast(self, op: str, x: Value, element: Type) -> Value:
        """One of LLVM's conversions (sext, zext, trunc, bitcast, fpext, fptrunc) lane by lane."""
        to = element.of(x.type.lanes)
        return x if to == x.type else self.emit(to, f"{op} {x.type} {x.ref} to {to}")

    # ---- memory

    def offset(self, pointer: Value, count: Operand, element: Type) -> Value:
        """The address `count` elements further; pointer or count may be a vector of them."""
        if _is_zero(count):
            return pointer
        index = self.constant(count, I64)
        return self.emit(
            PTR.of(max(index.type.lanes, pointer.type.lanes)),
            f"getelementptr {element.element}, {pointer.type} {pointer.ref}, {index.type} {index.ref}",
        )

    def distance(self, start: Value, end: Value) -> Value:
        """Bytes from one address to another."""
        numbers = [self.emit(I64, f"ptrtoint ptr {pointer.ref} to i64") for pointer in (end, start)]
        return numbers[0] - numbers[1]

    def load(self, type_: Type, pointer: Value, index: Operand = 0, *, aligned: bool = False) -> Value:
        """Load from `pointer` plus so many elements; `aligned` claims a whole register's alignment (own scratch)."""
        address = self.offset(pointer, index, type_)
        return self.emit(type_, f"load {type_}, ptr {address.ref}, align {self._alignment(type_, aligned)}")

    def store(self, value: Value, pointer: Value, index: Operand = 0, *, aligned: bool = False) -> None:
        address = self.offset(pointer, index, value.type)
        self.line(f"store {value.type} {value.ref}, ptr {address.ref}, align {self._alignment(value.type, aligned)}")

    def _alignment(self, type_: Type, aligned: bool) -> int:
        return min(64, type_.itemsize * max(1, type_.lanes)) if aligned else type_.itemsize

    def masked_load(self, type_: Type, pointer: Value, mask: Value) -> Value:
        """The lanes that the mask names, from consecutive elements; the others are 0 and are not read."""
        name = f"llvm.masked.load.{type_.mangled}.p0"
        self.module.declarations.add(f"declare {type_} @{name}(ptr, i32, {mask.type}, {type_})")
        return self.emit(
            type_,
            f"call {type_} @{name}(ptr {pointer.ref}, i32 {type_.itemsize}, {mask.type} {mask.ref}, "
            f"{type_} zeroinitializer)",
        )

    def masked_store(self, value: Value, pointer: Value, mask: Value) -> None:
        """Store the lanes that the mask names to consecutive elements; the others are not touched."""
        name = f"llvm.masked.store.{value.type.mangled}.p0"
        self.module.declarations.add(f"declare void @{name}({value.type}, ptr, i32, {mask.type})")
        self.line(
            f"call void @{name}({value.type} {value.ref}, ptr {pointer.ref}, i32 {value.type.itemsize}, "
            f"{mask.type} {mask.ref})"
        )

    def gather(self, type_: Type, pointers: Value, mask: Value) -> Value:
        """The lanes that the mask names, each from its own address; the others are 0 and are not read."""
        name = f"llvm.masked.gather.{type_.mangled}.{pointers.type.mangled}"
        self.module.declarations.add(f"declare {type_} @{name}({pointers.type}, i32, {mask.type}, {type_})")
        return self.emit(
            type_,
            f"call {type_} @{name}({pointers.type} {pointers.ref}, i32 {type_.itemsize}, {mask.type} {mask.ref}, "
            f"{type_} zeroinitializer)",
        )

    def scatter(self, value: Value, pointers: Value, mask: Value) -> None:
        """Store each lane that the mask names to its own address."""
        name = f"llvm.masked.scatter.{value.type.mangled}.{pointers.type.mangled}"
        self.module.declarations.add(f"declare void @{name}({value.type}, {pointers.type}, i32, {mask.type})")
        self.line(
            f"call void @{name}({value.type} {value.ref}, {pointers.type} {pointers.ref}, "
            f"i32 {value.type.itemsize}, {mask.type} {mask.ref})"
        )

    def prefetch(self, pointer: Value, level: int = 2) -> None:
        """Ask for the cache line of an address, which may be any: into L1 (level 1) or L2."""
        self.module.declarations.add("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.line(f"call void @llvm.prefetch.p0(ptr {pointer.ref}, i32 0, i32 {4 - level}, i32 1)")

    # ---- control

    def variable(self, type_: Type, initial: Operand | None = None) -> Variable:
        cell = Variable(self, type_)
        if initial is not None:
            cell.set(initial)
        return cell

    def stack(self, type_: Type, count: int) -> Value:
        """The address of `count` elements of the function's own, aligned for every vector; they hold anything."""
        ref = self.name("s")
        self.cells.append(f"{ref} = alloca [{count} x {type_}], align 64")
        return Value(self, PTR, ref)

    def label(self, name: str) -> None:
        self.line(f"{name[1:]}:")

    def jump(self, label: str) -> None:
        self.line(f"br label {label}")

    def jump_if(self, cond: Value, yes: str, no: str) -> None:
        self.line(f"br i1 {cond.ref}, label {yes}, label {no}")

    @contextmanager
    def loop(self, start: Operand, stop: Operand, step: Operand = 1) -> Iterator[Value]:
        """for i in range(start, stop, step), on i64; the body may run no time at all."""
        body, end = self.name("body"), self.name("end")
        index = self.variable(I64, start)
        self.jump_if(self.compare("slt", self.constant(start, I64), stop), body, end)
        self.label(body)
        i = index.get()
        yield i
        following = i + step
        index.set(following)
        self.jump_if(self.compare("slt", following, stop), body, end)
        self.label(end)

    @contextmanager
    def when(self, cond: Value) -> Iterator[_Otherwise]:
        """if cond: the block. The value it yields, used as a block right after, is the else branch."""
        yes, no, end = self.name("then"), self.name("else"), self.name("endif")
        self.jump_if(cond, yes, no)
        self.label(yes)
        yield _Otherwise(self, end)
        self.jump(end)
        self.label(no)
        self.jump(end)
        self.label(end)

    @contextmanager
    def tasks(self, counter: Value, count: Value) -> Iterator[Value]:
        """In a job (args, worker): claim task numbers below `count`, until none is left, by a counter that its threads
        share.

        Workers with even numbers claim upwards from the first task, which the counter's lower half counts, the others
        downwards from the last, counted in its upper half. So two threads have the same tasks in each call, but for
        those in the middle, and find in their own caches what they read or wrote in the call before.
        """
        head, body, end = self.name("claim"), self.name("task"), self.name("done")
        downwards = self.compare("ne", self.args["worker"] & 1, 0)
        one = self.select(downwards, self.constant(1 << 32, I64), 1)
        self.jump(head)
        self.label(head)
        claimed = self.emit(I64, f"atomicrmw add ptr {counter.ref}, i64 {one.ref} monotonic, align 8")
        first, last = claimed & 0xFFFFFFFF, claimed >> 32
        task = self.select(downwards, count - 1 - last, first)
        self.jump_if(self.compare("slt", first + last, count), body, end)
        self.label(body)
        yield task
        self.jump(head)
        self.label(end)

    def call(self, symbol: str, *args: Operand) -> None:
        """Call a function of the same module; plain numbers are i64."""
        self.line(f"call void @{symbol}({self._arguments(args)})")

    def call_at(self, address: Value, *args: Operand) -> None:
        """Call a function of another module, which must be exported there, by its address; plain numbers are i64."""
        self.line(f"call void {address.ref}({self._arguments(args)})")

    def call_for(self, result: Type, symbol: str, *args: Operand) -> Value:
        """Call a function of the same module for what it gives."""
        return self.emit(result, f"call {result} @{symbol}({self._arguments(args)})")

    def _arguments(self, args: Sequence[Operand]) -> str:
        return ", ".join(f"{v.type} {v.ref}" for v in (self.constant(a, I64) for a in args))


class _Otherwise:
    """The else branch of a `when` that has just ended."""

    def __init__(self, f: Function, end: str) -> None:
        self.f = f
        self.end = end

    def __enter__(self) -> None:
        # The `when` closed itself with an empty else branch (jump to the end, the end's label): open it again.
        if self.f.body[-1] != f"{self.end[1:]}:":
            raise AssertionError("an else branch must follow its when block at once")
        del self.f.body[-2:]

    def __exit__(self, *_: object) -> None:
        self.f.jump(self.end)
        self.f.label(self.end)
