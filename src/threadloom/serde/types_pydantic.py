"""pydantic's own value types: secrets and URLs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pydantic
import pydantic_core
from pydantic import networks

from threadloom.errors import CorruptRecord
from threadloom.serde.format import SECRET, URL, Refused, ext

if TYPE_CHECKING:
    from threadloom.serde.reader import Reader
    from threadloom.serde.writer import Writer

_SECRETS: Final[dict[type, type]] = {pydantic.SecretStr: str, pydantic.SecretBytes: bytes}
_URL_NAMES: Final = {  # the numbers are part of the stored format
    **{1: "AnyUrl", 2: "AnyHttpUrl", 3: "HttpUrl", 4: "AnyWebsocketUrl", 5: "WebsocketUrl"},
    **{6: "FileUrl", 7: "FtpUrl", 8: "PostgresDsn", 9: "CockroachDsn", 10: "AmqpDsn"},
    **{11: "RedisDsn", 12: "MongoDsn", 13: "KafkaDsn", 14: "NatsDsn", 15: "MySQLDsn"},
    **{16: "MariaDBDsn", 17: "ClickHouseDsn", 18: "SnowflakeDsn"},
}
_URLS: Final[dict[int, type]] = {100: pydantic_core.Url, 101: pydantic_core.MultiHostUrl} | {
    code: getattr(networks, name)
    for code, name in _URL_NAMES.items()
    if isinstance(getattr(networks, name, None), type)
}
_URL_CODES: Final = {cls: code for code, cls in _URLS.items()}


def dump_secret(writer: Writer, value: Any) -> Any:
    return ext(SECRET, writer.encode(value.get_secret_value()))


def load_secret(reader: Reader, data: bytes) -> Any:
    content = reader.unpack(data)
    for cls, kind in _SECRETS.items():
        if type(content) is kind:
            secret: Any = object.__new__(cls)
            secret.__dict__["_secret_value"] = content
            return secret
    raise CorruptRecord("a stored secret has the wrong content")


def dump_url(writer: Writer, value: Any) -> Any:
    code, text = _URL_CODES[type(value)], str(value)
    if str(_build(type(value), text)) != text:
        raise Refused(type(value), "this URL reads differently when it is parsed again")
    return ext(URL, [code, text])


def load_url(reader: Reader, data: bytes) -> Any:
    code, text = reader.parts(data, 2, 2)
    if type(code) is not int or type(text) is not str:
        raise CorruptRecord("a stored URL has the wrong content")
    cls = _URLS.get(code)
    if cls is None:
        return reader.refuse("pydantic:AnyUrl", "the installed pydantic lacks this URL type", text)
    return _build(cls, text)


def _build(cls: type, text: str) -> Any:
    if cls in (pydantic_core.Url, pydantic_core.MultiHostUrl):
        return cls(text)
    url: Any = object.__new__(cls)
    several = issubclass(cls, getattr(networks, "_BaseMultiHostUrl", ()))
    parse = pydantic_core.MultiHostUrl if several else pydantic_core.Url
    url.__dict__["_url"] = parse(text)
    return url


DUMPERS: Final = dict.fromkeys(_SECRETS, dump_secret) | dict.fromkeys(_URL_CODES, dump_url)
LOADERS: Final = {SECRET: load_secret, URL: load_url}
