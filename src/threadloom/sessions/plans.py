"""Plans over the session index: create, get, list, count, delete and change sessions."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict
from uuid import uuid4

import orjson

from threadloom import index
from threadloom.clock import to_micros
from threadloom.documents import check_json
from threadloom.errors import InvalidKey, SerializationError, SessionConflict, SessionExists
from threadloom.keys import SESSIONS, SessionPaths, check_text
from threadloom.models import SessionContext, SessionInfo, SessionPage, SessionStatus
from threadloom.ops import (
    ABSENT,
    PRESENT,
    Count,
    Expect,
    ExpectationFailed,
    Get,
    Query,
    Record,
)
from threadloom.plans import Plan, check_fence, retrying
from threadloom.scope import Scope


class Unset:
    """The type of `UNSET`: an argument that was not given."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()

_ORDERS = ("created_at", "updated_at")
_TRIES = 20
_LONGEST_TTL = timedelta(days=36_500)
_MOST = 2**31
"""As good as no limit."""
_STATUSES = ("idle", "running", "interrupted", "error")


def create(
    scope: Scope,
    id: str | None,
    *,
    name: str | None,
    owner: str | None,
    tags: Iterable[str],
    agent_name: str | None,
    context: SessionContext | Mapping[str, str | None] | None,
    metadata: Mapping[str, Any] | None,
    ttl: timedelta | None,
    if_exists: str,
) -> Plan[SessionInfo]:
    """Create a session; an id that is taken raises, or returns the session that has it."""
    if if_exists not in ("raise", "return"):
        raise InvalidKey(f"if_exists is 'raise' or 'return', not {if_exists!r}")
    paths = scope.paths(str(uuid4()) if id is None else id)
    fields = {
        "name": _text(name, "a name") or "",
        "owner": _text(owner, "an owner"),
        "tags": _tags(tags),
        "agent_name": _text(agent_name, "an agent's name"),
        "metadata": _metadata(metadata),
        "context": _context(context),
        "ttl": _ttl(ttl),
    }
    for _ in range(_TRIES):
        (remains,) = yield [index.remains(paths)]
        doc = index.new_doc(scope.now(), **fields, **index.after(remains))
        ops = index.begin(paths, doc)
        try:
            *_, record = yield [*ops, Get(paths.sessions, paths.id)]
        except ExpectationFailed as error:
            check_fence(error)
            if if_exists == "raise":
                raise SessionExists(f"session {paths.id!r} exists already") from None
            (record,) = yield [Get(paths.sessions, paths.id)]
        else:
            if record is None:
                raise InvalidKey(
                    f"session {paths.id!r} would have expired already: its ttl is {ttl}, and the "
                    "clocks of the manager and of its store disagree"
                )
        if record is not None:
            return index.info(record)
    raise SessionConflict(f"session {paths.id!r} comes and goes faster than it can be read")


def get(paths: SessionPaths) -> Plan[SessionInfo | None]:
    """A session, or None."""
    (record,) = yield [Get(paths.sessions, paths.id)]
    return None if record is None else index.info(record)


def listing(
    scope: Scope,
    *,
    order_by: str,
    descending: bool | None,
    limit: int | None,
    after: str | SessionInfo | None,
    filters: Filters,
) -> Plan[SessionPage]:
    """Sessions in order; a page of them where `limit` is given."""
    if order_by not in _ORDERS:
        raise InvalidKey(f"order_by is one of {', '.join(_ORDERS)}, not {order_by!r}")
    if descending is None:
        descending = order_by == "updated_at"
    if limit is not None and limit <= 0:
        return SessionPage()
    (records,) = yield [
        Query(
            (*scope.root, SESSIONS),
            filter=store_filter(filters),
            order_by=order_by,
            descending=descending,
            after=None if after is None else _place(after, order_by),
            limit=None if limit is None else min(limit, _MOST) + 1,
        )
    ]
    page = records if limit is None else records[:limit]
    cursor = None
    if page and len(records) > len(page):
        last = page[-1]
        cursor = _cursor(order_by, int(last.body()[order_by]), last.key)
    return SessionPage(index.infos(page), cursor)


def ids(scope: Scope) -> Plan[list[str]]:
    """The ids of all sessions, oldest created first."""
    (records,) = yield [Query((*scope.root, SESSIONS), order_by="created_at")]
    return [record.key for record in records]


def count(scope: Scope, filters: Filters) -> Plan[int]:
    """How many sessions pass a filter."""
    (number,) = yield [Count((*scope.root, SESSIONS), filter=store_filter(filters))]
    return int(number)


def delete(scope: Scope, paths: SessionPaths, expected_version: int | None = None) -> Plan[bool]:
    """Delete a session and everything in it, all or nothing; whether it existed.

    Raises:
        SessionConflict: the session is at another version than the expected one.
    """

    def attempt() -> Plan[bool]:
        (record,) = yield [Get(paths.sessions, paths.id)]
        _check_version(paths, record, expected_version)
        expect: Expect = ABSENT if record is None else expected_version or PRESENT
        yield index.erase(paths, scope.now(), expect)
        return record is not None

    return retrying(attempt)


def _check_version(paths: SessionPaths, record: Record | None, expected: int | None) -> None:
    """Refuse a session that is at another version than the expected one, if one is expected."""
    if expected is None or (record is not None and record.version == expected):
        return
    found = "it does not exist" if record is None else f"it is at {record.version}"
    raise SessionConflict(
        f"session {paths.id!r} was expected at version {expected}, but {found}",
        expected=expected,
        found=0 if record is None else record.version,
    )


def change(
    scope: Scope, paths: SessionPaths, edit: Callable[[index.Doc], index.Doc]
) -> Plan[SessionInfo]:
    """Change fields of a session that depend on what they were.

    Raises:
        SessionNotFound: there is no such session.
    """

    def attempt() -> Plan[SessionInfo]:
        (record,) = yield [Get(paths.sessions, paths.id)]
        if record is None:
            raise index.not_found(paths.id)
        fields = edit(record.body())
        touched = index.touch(
            paths, record, scope.now(), implicit=False, set=fields, expect=record.version
        )
        *_, after = yield [*touched, Get(paths.sessions, paths.id)]
        return index.info(after)

    return retrying(attempt)


def rename(scope: Scope, paths: SessionPaths, name: str) -> Plan[SessionInfo]:
    """Give a session another name; an empty one clears it."""
    text = _text(name, "a name") or ""
    return change(scope, paths, lambda doc: {"name": text})


def tag(scope: Scope, paths: SessionPaths, tags: Iterable[str]) -> Plan[SessionInfo]:
    """Add tags behind those that are there; the order stays, nothing doubles."""
    added = _tags(tags)
    return change(
        scope, paths, lambda doc: {"tags": list(dict.fromkeys([*doc.get("tags", ()), *added]))}
    )


def untag(scope: Scope, paths: SessionPaths, tags: Iterable[str]) -> Plan[SessionInfo]:
    """Take tags away; one that is not there is no error."""
    gone = set(_tags(tags))
    return change(
        scope,
        paths,
        lambda doc: {"tags": [tag for tag in doc.get("tags", ()) if tag not in gone]},
    )


def update(
    scope: Scope,
    paths: SessionPaths,
    *,
    metadata: Mapping[str, Any] | None,
    context: SessionContext | Mapping[str, str | None] | None,
    owner: str | None,
    agent_name: str | None,
    ttl: timedelta | Unset | None,
    expected_version: int | None,
    create: bool,
) -> Plan[SessionInfo]:
    """Change what callers may change; see `SessionManager.update_session`."""
    more = _metadata(metadata)
    parts = _context(context)
    fields: index.Doc = {}
    if owner is not None:
        fields["owner"] = _text(owner, "an owner")
    if agent_name is not None:
        fields["agent_name"] = _text(agent_name, "an agent's name")
    if not isinstance(ttl, Unset):
        fields["ttl"] = _ttl(ttl)

    def attempt() -> Plan[SessionInfo]:
        (record,) = yield [Get(paths.sessions, paths.id)]
        _check_version(paths, record, expected_version)
        now = scope.now()
        if record is None:
            if not create:
                raise index.not_found(paths.id)
            (remains,) = yield [index.remains(paths)]
            doc = index.new_doc(now, metadata=more, context=parts, **fields, **index.after(remains))
            yield index.begin(paths, doc)
        else:
            doc = record.body()
            changed = {
                **fields,
                "metadata": {**(doc.get("metadata") or {}), **more},
                "context": {**(doc.get("context") or {}), **parts},
            }
            yield index.touch(
                paths, record, now, implicit=False, set=changed, expect=record.version
            )
        (after,) = yield [Get(paths.sessions, paths.id)]
        if after is None:
            raise index.not_found(paths.id)
        return index.info(after)

    return retrying(attempt)


class Filters(TypedDict, total=False):
    """Which sessions a listing shows; all that are given must hold.

    Attributes:
        owner: only this owner's.
        tags: only those with this tag, or with all of these tags.
        agent_name: only those of this agent.
        framework: only those that began with this framework's adapter.
        status: only those in this state.
        context: only those in this channel, room or with this sender.
        metadata: only those whose metadata has these values.
        created_since: only those created then (aware) or later.
        updated_since: only those updated then (aware) or later.
    """

    owner: str | None
    tags: str | Iterable[str] | None
    agent_name: str | None
    framework: str | None
    status: SessionStatus | None
    context: SessionContext | Mapping[str, str | None] | None
    metadata: Mapping[str, Any] | None
    created_since: datetime | None
    updated_since: datetime | None


def store_filter(filters: Filters) -> dict[str, Any]:
    """`Filters` as the filter of a query."""
    unknown = filters.keys() - Filters.__annotations__.keys()
    if unknown:
        raise TypeError(
            f"unknown filters: {', '.join(sorted(unknown))}; there are "
            f"{', '.join(Filters.__annotations__)}"
        )
    owner, agent_name = filters.get("owner"), filters.get("agent_name")
    tags, status = filters.get("tags"), filters.get("status")
    context, metadata = filters.get("context"), filters.get("metadata")
    created_since, updated_since = filters.get("created_since"), filters.get("updated_since")
    found: dict[str, Any] = {}
    if owner is not None:
        found["owner"] = _text(owner, "an owner")
    if tags is not None and (wanted := _tags([tags] if isinstance(tags, str) else tags)):
        found["tags"] = {"$contains": wanted}
    if agent_name is not None:
        found["agent_name"] = _text(agent_name, "an agent's name")
    if (framework := filters.get("framework")) is not None:
        found["framework"] = _text(framework, "a framework's name")
    if status is not None:
        if status not in _STATUSES:
            raise InvalidKey(f"status is one of {', '.join(_STATUSES)}, not {status!r}")
        found["status"] = status
    if context is not None and (parts := _context(context)):
        found["context"] = parts
    if metadata:
        found["metadata"] = {
            "$fields": {name: {"$eq": value} for name, value in _metadata(metadata).items()}
        }
    if created_since is not None:
        found["created_at"] = {"$gte": _moment(created_since)}
    if updated_since is not None:
        found["updated_at"] = {"$gte": _moment(updated_since)}
    return found


def _moment(moment: datetime) -> int:
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise InvalidKey(f"a time is a datetime with a time zone, got {moment!r}")
    return to_micros(moment)


def _cursor(order_by: str, value: int, id: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([order_by, value, id])).decode()


def _place(after: str | SessionInfo, order_by: str) -> tuple[int, str]:
    if isinstance(after, SessionInfo):
        moment = after.created_at if order_by == "created_at" else after.updated_at
        return to_micros(moment), after.id
    try:
        order, value, id = orjson.loads(base64.urlsafe_b64decode(after))
    except (ValueError, TypeError, binascii.Error) as error:
        raise InvalidKey(f"not a cursor of a listing: {after!r:.80}") from error
    if order != order_by or not isinstance(value, int) or not isinstance(id, str):
        raise InvalidKey(f"the cursor belongs to a listing ordered by {order}, not {order_by}")
    return value, id


def _text(value: str | None, what: str) -> str | None:
    return None if value is None else check_text(value, what)


def _tags(tags: Iterable[str]) -> list[str]:
    if isinstance(tags, str):
        raise InvalidKey(f"tags are a list of strings, got the string {tags!r}")
    found = [check_text(tag, "a tag") for tag in tags]
    if not all(found):
        raise InvalidKey("a tag must not be empty")
    return list(dict.fromkeys(found))


def _metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise SerializationError(f"metadata is a dict, got a {type(metadata).__qualname__}")
    checked: dict[str, Any] = check_json(metadata, "metadata")
    return checked


def _context(context: SessionContext | Mapping[str, str | None] | None) -> dict[str, str]:
    if context is None:
        return {}
    if not isinstance(context, SessionContext):
        unknown = set(context) - set(SessionContext.model_fields)
        if unknown:
            raise InvalidKey(
                f"a context has {', '.join(SessionContext.model_fields)}, not {sorted(unknown)}"
            )
        given = dict(context)
    else:
        given = context.model_dump()
    checked = {
        name: check_text(value, f"the context's {name}")
        for name, value in given.items()
        if value is not None
    }
    return {name: value for name, value in checked.items() if value.strip()}


def _ttl(ttl: timedelta | None) -> int | None:
    if ttl is None:
        return None
    if not isinstance(ttl, timedelta):
        raise InvalidKey(f"ttl is a timedelta, got {ttl!r}")
    if ttl <= timedelta(0):
        raise InvalidKey(f"ttl must be positive, got {ttl!r}")
    if ttl > _LONGEST_TTL:
        raise InvalidKey(f"ttl is a hundred years at most, got {ttl!r}; None is for ever")
    return ttl // timedelta(microseconds=1)
