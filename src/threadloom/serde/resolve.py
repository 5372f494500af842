"""From a stored name to a class, without importing or running anything."""

from __future__ import annotations

import sys
from typing import Any
from weakref import WeakSet, WeakValueDictionary

from threadloom.serde.classes import is_class, name_of, namespace_of, plan_of

_local: WeakValueDictionary[str, type] = WeakValueDictionary()
_namesakes: dict[str, WeakSet[type]] = {}
_reachable: WeakValueDictionary[str, type] = WeakValueDictionary()


def remember(cls: type) -> None:
    """Note a class that its name does not lead to, so that this process can load it."""
    name = name_of(cls)
    if _reachable.get(name) is cls or _local.get(name) is cls:
        return
    if isinstance(find(name, local=False), type):
        _reachable[name] = cls
    else:
        _local[name] = cls
        _namesakes.setdefault(name, WeakSet()).add(cls)


def find(name: str, *, local: bool = True) -> type | str:
    """The class of that name, or why there is none.

    A name is looked up in ``sys.modules`` and then in one ``__dict__`` after another: no
    import, no ``getattr``, so neither a module's ``__getattr__`` nor a lazily loading
    module nor a metaclass gets to run.
    """
    module_name, _, qualname = name.partition(":")
    namesakes = list(_namesakes.get(name, ())) if local else []
    if namesakes:
        found = _local.get(name) or namesakes[0]
        if any(not _alike(found, other) for other in namesakes):
            return (
                f"{module_name} has made several classes {qualname}, and they differ: give each a "
                "name of its own, or name the one that is meant in allow"
            )
        return found
    module = sys.modules.get(module_name)
    if module is None:
        return f"its module is not imported here: import {module_name} first"
    try:
        namespace: Any = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return f"{module_name} is not a module"
    plain, bracket, parameters = qualname.partition("[")
    *outer, last = plain.split(".")
    for part in outer:
        thing = namespace.get(part)
        if not is_class(thing):
            return f"{module_name} has no class {qualname}"
        namespace = namespace_of(thing)
    thing = namespace.get(last + bracket + parameters)
    if thing is None and bracket:
        thing = _parametrised(namespace.get(last), module_name, qualname)
    if thing is None:
        return f"{module_name} has no class {qualname}"
    return thing if is_class(thing) else f"{qualname} of {module_name} is not a class"


def _alike(cls: type, other: type) -> bool:
    """Whether two classes of one name have the same fields: a function that made it ran twice."""
    one, two = plan_of(cls), plan_of(other)
    return one is two or (one and (one.tag, one.fields)) == (two and (two.tag, two.fields))


def _parametrised(origin: Any, module_name: str, qualname: str) -> type | None:
    """A generic pydantic model with its parameters is a subclass of the generic model."""
    if not is_class(origin):
        return None
    found = [
        cls for cls in type.__subclasses__(origin) if name_of(cls) == f"{module_name}:{qualname}"
    ]
    return found[0] if len(found) == 1 else None
