"""Pydantic's four slots, read and written without running anything of a model."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel

_DICT: Final = BaseModel.__dict__["__dict__"]
_SET: Final = BaseModel.__dict__["__pydantic_fields_set__"]
_EXTRA: Final = BaseModel.__dict__["__pydantic_extra__"]
_PRIVATE: Final = BaseModel.__dict__["__pydantic_private__"]

get_dict, set_dict = _DICT.__get__, _DICT.__set__
get_set, set_set = _SET.__get__, _SET.__set__
get_extra, set_extra = _EXTRA.__get__, _EXTRA.__set__
get_private, set_private = _PRIVATE.__get__, _PRIVATE.__set__
