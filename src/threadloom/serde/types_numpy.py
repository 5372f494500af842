"""NumPy arrays and scalars, only ever while the application has NumPy loaded."""

from __future__ import annotations

import math
import re
import sys
from typing import TYPE_CHECKING, Any

from threadloom.errors import CorruptRecord
from threadloom.serde.format import ARRAY, ARRAY_SCALAR, Refused, ext

if TYPE_CHECKING:
    from threadloom.serde.reader import Reader
    from threadloom.serde.writer import Writer

_PLAIN_DTYPE = re.compile(r"[<>|=]?(?:[?bhilqpBHILQPefdgFDG]|[biufcSUV?]\d+|[mM]8(?:\[\w+\])?)")


def dump_numpy(writer: Writer, value: Any) -> Any:
    """An extension, or ``None`` if the value is not NumPy's."""
    numpy = sys.modules["numpy"]
    kind = type(value)
    if kind is numpy.ndarray:
        dtype = _dtype_text(value.dtype, kind)
        order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
        return ext(ARRAY, [dtype, list(value.shape), order, value.tobytes(order=order)])
    if isinstance(value, numpy.generic):
        text = _dtype_text(value.dtype, kind)
        if numpy.dtype(text).type is not kind:
            raise Refused(kind, "this NumPy scalar type has no portable name")
        return ext(ARRAY_SCALAR, [text, value.tobytes()])
    return None


def _dtype_text(dtype: Any, kind: type) -> str:
    if dtype.hasobject:
        raise Refused(kind, "an array of Python objects cannot be stored; use a list")
    text: str = dtype.str
    if dtype.type is not sys.modules["numpy"].dtype(text).type:
        text = dtype.byteorder.replace("|", "") + dtype.char  # two types of the same width
    if not dtype.itemsize or dtype.names or dtype.subdtype or not _PLAIN_DTYPE.fullmatch(text):
        raise Refused(kind, f"arrays of dtype {dtype} cannot be stored")
    return text


def load_array(reader: Reader, data: bytes) -> Any:
    text, shape, order, raw = reader.parts(data, 4, 4)
    numpy = sys.modules.get("numpy")
    if numpy is None:
        content = {"dtype": text, "shape": shape, "order": order, "data": raw}
        return reader.refuse("numpy:ndarray", "NumPy is not imported", content)
    dtype = _dtype(numpy, text)
    if type(raw) is not bytes or type(shape) is not list or order not in ("C", "F"):
        raise CorruptRecord("a stored array has parts of the wrong type")
    if any(type(size) is not int or size < 0 for size in shape) or len(raw) != dtype.itemsize * (
        math.prod(shape)
    ):
        raise CorruptRecord("a stored array does not have the size it states")
    if not raw:
        return numpy.empty(shape, dtype, order)
    return numpy.ndarray(shape, dtype, bytearray(raw), order=order)


def load_array_scalar(reader: Reader, data: bytes) -> Any:
    text, raw = reader.parts(data, 2, 2)
    numpy = sys.modules.get("numpy")
    if numpy is None:
        content = {"dtype": text, "data": raw}
        return reader.refuse("numpy:generic", "NumPy is not imported", content)
    dtype = _dtype(numpy, text)
    if type(raw) is not bytes or len(raw) != dtype.itemsize:
        raise CorruptRecord("a stored NumPy scalar does not have its size")
    return numpy.ndarray((), dtype, raw)[()]


def _dtype(numpy: Any, text: Any) -> Any:
    if type(text) is not str or not _PLAIN_DTYPE.fullmatch(text):
        raise CorruptRecord("a stored array has an unknown element type")
    dtype = numpy.dtype(text)
    if not dtype.itemsize:
        raise CorruptRecord("a stored array has elements of no size")
    return dtype


LOADERS = {ARRAY: load_array, ARRAY_SCALAR: load_array_scalar}
