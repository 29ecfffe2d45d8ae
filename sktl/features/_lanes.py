"""A vector type for numba: one number of each of several frames, 16 with AVX-512 and float32.

LLVM then neither guesses which loops to vectorise nor has to prove that arrays do not overlap.
"""

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, types
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model

__all__ = [
    "BYTES",
    "finite_or",
    "imag",
    "load",
    "maximum",
    "pack",
    "pointer",
    "real",
    "repeat",
    "split",
    "square_root",
    "store",
    "transpose_tile",
    "where_larger",
    "width",
]

# What a register of this processor holds, or two of the smallest kind.
BYTES = 64 if "+avx512f" in get_host_cpu_features() else 32
FLAGS = ("contract",)
# For type checkers: what is called has no `typing` argument.
intrinsic: Any = extending.intrinsic


class Lanes(types.Type):
    """One number per frame, real or complex."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.is_complex = isinstance(dtype, types.Complex)
        self.part = dtype.underlying_float if self.is_complex else dtype
        super().__init__(f"Lanes({dtype})")


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    """A vector register, or two of them."""

    def __init__(self, manager: Any, lanes: Lanes) -> None:
        vector = _vector(lanes)
        pair = ir.LiteralStructType([vector, vector])
        super().__init__(manager, lanes, pair if lanes.is_complex else vector)


def _vector(lanes: Lanes) -> Any:
    number = ir.FloatType() if lanes.part.bitwidth == 32 else ir.DoubleType()
    return ir.VectorType(number, 8 * BYTES // lanes.part.bitwidth)


def _parts(builder: Any, kind: Any, value: Any) -> list[Any]:
    """Vectors of a value; of a scalar, the vectors that repeat it."""
    if isinstance(kind, Lanes):
        return [builder.extract_value(value, i) for i in (0, 1)] if kind.is_complex else [value]
    is_complex = isinstance(kind, types.Complex)
    vector = _vector(Lanes(kind.underlying_float if is_complex else kind))
    numbers = [builder.extract_value(value, i) for i in (0, 1)] if is_complex else [value]
    return [_repeated(builder, vector, number) for number in numbers]


def _repeated(builder: Any, vector: Any, number: Any) -> Any:
    undefined = ir.Constant(vector, ir.Undefined)
    one = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, undefined, _mask([0] * vector.count))


def _mask(index: list[int]) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(index)), index)


def _whole(builder: Any, parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else cgutils.pack_struct(builder, parts)


def _sum(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    one, other = map(_parts, [builder] * 2, sig.args, args)
    pairs = zip(one, other, strict=True)
    return _whole(builder, [builder.fadd(a, b, flags=FLAGS) for a, b in pairs])


def _difference(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    one, other = map(_parts, [builder] * 2, sig.args, args)
    pairs = zip(one, other, strict=True)
    return _whole(builder, [builder.fsub(a, b, flags=FLAGS) for a, b in pairs])


def _product(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    one, other = map(_parts, [builder] * 2, sig.args, args)
    if len(other) == 1:
        return _whole(builder, [builder.fmul(a, other[0], flags=FLAGS) for a in one])
    (a, b), (c, d) = one, other
    ac, bd, ad, bc = (builder.fmul(x, y, flags=FLAGS) for x, y in ((a, c), (b, d), (a, d), (b, c)))
    return _whole(builder, [builder.fsub(ac, bd, flags=FLAGS), builder.fadd(ad, bc, flags=FLAGS)])


def _quotient(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.fdiv(*args, flags=FLAGS)


for _operator, _emit in (
    (operator.add, _sum),
    (operator.sub, _difference),
    (operator.mul, _product),
    (operator.truediv, _quotient),  # of real lanes
):

    @infer_global(_operator)
    class _Template(AbstractTemplate):
        key: Any

        def generic(self, args: Any, kws: Any) -> Any:
            """Like with like, or a product with a number."""
            one, other = args
            scales = self.key is operator.mul and isinstance(one, Lanes)
            if isinstance(one, Lanes) and (
                other == one or (scales and other in (one.dtype, one.part))
            ):
                return signature(one, one, other)
            return None

    for _other in (Lanes, types.Float, types.Complex):
        lower_builtin(_operator, Lanes, _other)(_emit)


def _address(context: Any, builder: Any, array: Any, value: Any, at: Any) -> Any:
    """Where lanes begin at number `at` of an array."""
    data = context.make_array(array)(context, builder, value).data
    return builder.bitcast(builder.gep(data, [at]), _vector(Lanes(array.dtype)).as_pointer())


def _integers(context: Any, builder: Any, sig: Any, args: Any) -> list[Any]:
    return [
        context.cast(builder, value, kind, types.intp) if isinstance(kind, types.Integer) else value
        for kind, value in zip(sig.args, args, strict=True)
    ]


@intrinsic
def pointer(typing: Any, address: Any, like: Any) -> Any:
    """Pointer to numbers of an array's dtype, for `numba.carray`."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(sig.return_type))

    return types.CPointer(like.dtype)(address, like), emit


@intrinsic
def load(typing: Any, array: Any, at: Any) -> Any:
    """Real lanes from number `at` of an array on."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, at = _integers(context, builder, sig, args)
        address = _address(context, builder, sig.args[0], value, at)
        return builder.load(address, align=sig.args[0].dtype.bitwidth // 8)

    return Lanes(array.dtype)(array, at), emit


@intrinsic
def store(typing: Any, array: Any, at: Any, lanes: Any) -> Any:
    """Write real lanes from number `at` of an array on."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, at, vector = _integers(context, builder, sig, args)
        address = _address(context, builder, sig.args[0], value, at)
        builder.store(vector, address, align=sig.args[0].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, at, lanes), emit


@intrinsic
def repeat(typing: Any, array: Any, number: Any) -> Any:
    """Real lanes that repeat a number, of the dtype of an array."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = context.cast(builder, args[1], sig.args[1], array.dtype)
        return _repeated(builder, _vector(lanes), value)

    lanes = Lanes(array.dtype)
    return lanes(array, number), emit


@intrinsic
def width(typing: Any, array: Any) -> Any:
    """How many numbers of an array's dtype lanes hold."""
    count = _vector(Lanes(array.dtype)).count
    return types.intp(array), lambda context, builder, sig, args: ir.IntType(64)(count)


@intrinsic
def pack(typing: Any, real_part: Any, imag_part: Any) -> Any:
    """Complex lanes of two real ones."""
    dtype = types.complex64 if real_part.dtype == types.float32 else types.complex128
    return Lanes(dtype)(real_part, imag_part), lambda context, builder, sig, args: _whole(
        builder, list(args)
    )


@intrinsic
def real(typing: Any, lanes: Any) -> Any:
    """Real parts."""
    return Lanes(lanes.part)(lanes), lambda context, builder, sig, args: builder.extract_value(
        args[0], 0
    )


@intrinsic
def imag(typing: Any, lanes: Any) -> Any:
    """Imaginary parts."""
    return Lanes(lanes.part)(lanes), lambda context, builder, sig, args: builder.extract_value(
        args[0], 1
    )


@intrinsic
def maximum(typing: Any, lanes: Any, other: Any) -> Any:
    """The larger of real lanes and others, unless these are NaN."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        one, other = args
        return builder.select(builder.fcmp_ordered(">", other, one), other, one)

    return lanes(lanes, other), emit


@intrinsic
def where_larger(typing: Any, lanes: Any, other: Any, first: Any, second: Any) -> Any:
    """`first` where real lanes are larger than others, else `second`."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3])

    return first(lanes, other, first, second), emit


@intrinsic
def square_root(typing: Any, lanes: Any) -> Any:
    """Square root of real lanes."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = _vector(lanes)
        name = f"llvm.sqrt.v{vector.count}f{lanes.dtype.bitwidth}"
        kind = ir.FunctionType(vector, [vector])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)

    return lanes(lanes), emit


@intrinsic
def split(typing: Any, lanes: Any) -> Any:
    """``m`` from 2 / 3 to 4 / 3 and the whole number ``e`` with ``m * 2**e`` = real lanes.

    Numbers below the smallest normal one count as that; infinity and NaN give nonsense.
    """

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector, info = _vector(lanes), np.finfo(lanes.dtype.name)
        integers = ir.VectorType(ir.IntType(info.bits), vector.count)

        def each(number: int) -> Any:
            return ir.Constant(integers, [number] * vector.count)

        tiny = ir.Constant(vector, [float(info.tiny)] * vector.count)
        normal = builder.select(builder.fcmp_ordered(">", args[0], tiny), args[0], tiny)
        two_thirds = each(int(info.dtype.type(2 / 3).view(f"i{info.bits // 8}")))
        bits = builder.sub(builder.bitcast(normal, integers), two_thirds)
        exponent = builder.sitofp(builder.ashr(bits, each(info.nmant)), vector)
        fraction = builder.and_(bits, each(2**info.nmant - 1))
        mantissa = builder.bitcast(builder.add(fraction, two_thirds), vector)
        return context.make_tuple(builder, sig.return_type, (mantissa, exponent))

    return types.UniTuple(lanes, 2)(lanes), emit


@intrinsic
def finite_or(typing: Any, lanes: Any, result: Any) -> Any:
    """`result` where real `lanes` are finite, else the lanes themselves."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector, largest = _vector(lanes), float(np.finfo(lanes.dtype.name).max)
        limit = ir.Constant(vector, [largest] * vector.count)
        finite = builder.fcmp_ordered("<=", args[0], limit)
        return builder.select(finite, args[1], args[0])

    return lanes(lanes, result), emit


@intrinsic
def transpose_tile(
    typing: Any, source: Any, at: Any, step: Any, target: Any, to: Any, jump: Any
) -> Any:
    """``target[to + j * jump + i] = source[at + i * step + j]`` for i and j below the width."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        source_, at, step, target_, to, jump = _integers(context, builder, sig, args)
        count, align = _vector(Lanes(source.dtype)).count, source.dtype.bitwidth // 8

        def place(kind: Any, array: Any, start: Any, distance: Any, i: int) -> Any:
            shift = builder.add(start, builder.mul(distance, distance.type(i)))
            return _address(context, builder, kind, array, shift)

        rows = [
            builder.load(place(source, source_, at, step, i), align=align) for i in range(count)
        ]
        for j, column in enumerate(_columns(builder, rows)):
            builder.store(column, place(target, target_, to, jump, j), align=align)
        return context.get_dummy_value()

    return types.void(source, at, step, target, to, jump), emit


def _columns(builder: Any, rows: list[Any]) -> list[Any]:
    """As many vectors as they have numbers, transposed: halves interleaved again and again."""
    half = len(rows) // 2
    pairs = [(i, i + len(rows)) for i in range(len(rows))]
    low, high = (_mask([i for pair in some for i in pair]) for some in (pairs[:half], pairs[half:]))
    for _ in range(len(rows).bit_length() - 1):
        rows = [
            builder.shuffle_vector(rows[i], rows[i + half], mask)
            for i in range(half)
            for mask in (low, high)
        ]
    return rows
