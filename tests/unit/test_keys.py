"""Where records live: labels, ids, keys, and the partition that follows from them."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from threadloom import keys
from threadloom.errors import InvalidKey
from threadloom.keys import Namespace

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
SPECIAL = st.text(st.sampled_from('%.~!/*"a1é😀 \x01') | st.sampled_from("25AEs"), max_size=6)
IDS = ANY_TEXT | SPECIAL | st.sampled_from(sorted(keys.RESERVED))
LABELS = st.builds(keys.encode_id, IDS)


# ── Ids as labels ─────────────────────────────────────────────────────────────────────────────
@given(IDS)
def test_an_id_comes_back(id: str) -> None:
    assert keys.decode_id(keys.encode_id(id)) == id


@given(IDS)
def test_a_label_can_be_stored_and_is_nobody_elses(id: str) -> None:
    label = keys.encode_id(id)
    assert keys.check_namespace((label,)) == (label,)
    assert label not in keys.RESERVED
    assert not label.startswith(keys.TENANT_MARK)
    assert not set(label) & set("./*!~\"'\\ \n\t")


@given(IDS, IDS)
def test_two_ids_never_share_a_label(one: str, other: str) -> None:
    assert (keys.encode_id(one) == keys.encode_id(other)) is (one == other)


@given(IDS, IDS)
def test_a_label_is_no_other_ids_label(one: str, other: str) -> None:
    assume(one != other)
    assert keys.encode_id(keys.encode_id(one)) != keys.encode_id(other) or (
        keys.encode_id(one) == other
    )


@pytest.mark.parametrize(
    ("id", "label"),
    [
        ("abc-DEF_123", "abc-DEF_123"),
        ("", "%"),
        ("%", "%25"),
        ("%25", "%2525"),
        ("a/b", "a%2Fb"),
        ("../x", "%2E%2E%2Fx"),
        ("a:b", "a%3Ab"),
        ("a b", "a%20b"),
        ("\x01", "%01"),
        ("~t", "%7Et"),
        ("é😀", "é😀"),
        ("sessions", "%73essions"),
        ("memory", "%6Demory"),
        ("checkpoints", "%63heckpoints"),
        ("Sessions", "Sessions"),
    ],
)
def test_labels_that_are_stored_already(id: str, label: str) -> None:
    """A change here would lose the data of every existing store."""
    assert keys.encode_id(id) == label
    assert keys.decode_id(label) == id


@given(IDS | st.uuids().map(str))
def test_compact_ids_are_read_back(text: str) -> None:
    part = keys.compact_id(text)
    assert keys.expand_id(part) == text
    assert len(part) == 23 if keys.is_compact(text) else part == keys.encode_id(text)
    assert not set(part) & set("!~./")


@given(st.uuids().map(str), st.uuids().map(str))
def test_compact_ids_sort_as_the_uuids_do(one: str, other: str) -> None:
    assert (keys.compact_id(one) < keys.compact_id(other)) == (one < other)
    assert keys.sort_alike(one, other)


@given(IDS | st.uuids().map(str), IDS | st.uuids().map(str))
def test_whether_two_ids_sort_alike_is_known(one: str, other: str) -> None:
    same = sorted([one, other]) == sorted([one, other], key=keys.compact_id)
    assert keys.sort_alike(one, other) == same


@given(st.lists(LABELS, min_size=1, max_size=3), st.lists(LABELS, min_size=1, max_size=3))
def test_composed_keys_sort_behind_their_first_part(one: list[str], other: list[str]) -> None:
    key = keys.PART_SEPARATOR.join(one)
    assert one[0] <= key < one[0] + keys.AFTER_PARTS
    if one[0] != other[0]:
        foreign = keys.PART_SEPARATOR.join(other)
        assert not one[0] + keys.PART_SEPARATOR <= foreign < one[0] + keys.AFTER_PARTS


# ── What is refused ───────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "id", ["a", " ", "a/b", "../x", "a:b", "a%", "checkpoints", "🧵", "x" * 1024, "🧵" * 1024]
)
def test_ids_that_can_be(id: str) -> None:
    assert keys.check_id(id) == id


@pytest.mark.parametrize(
    ("id", "why"),
    [
        ("", "must not be empty"),
        ("x" * 1025, "1025 characters, at most 1,?024"),
        ("🧵" * 1025, "at most"),
        ("a\x00b", "NUL"),
        ("\ud800", "surrogate"),
        ("a\udfffb", "surrogate"),
        (None, "must be a string, got NoneType"),
        (1, "must be a string, got int"),
        (b"a", "must be a string, got bytes"),
    ],
)
def test_ids_that_cannot_be(id: object, why: str) -> None:
    with pytest.raises(InvalidKey, match=why):
        keys.check_id(id)


@pytest.mark.parametrize("namespace", [(), ("a",), ["a", "b"], ("a b", "😀", "%", "~t"), ("/",)])
def test_namespaces_that_can_be(namespace: object) -> None:
    assert keys.check_namespace(namespace) == tuple(namespace)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "namespace",
    ["a", None, ("",), ("a", ""), ("a.b",), (".",), ("a", 1), ("a\x00",), ("\ud83d",), {"a"}],
)
def test_namespaces_that_cannot_be(namespace: object) -> None:
    with pytest.raises(InvalidKey):
        keys.check_namespace(namespace)


@given(st.text())
def test_what_is_storable_stays_and_the_rest_becomes_spaces(text: str) -> None:
    made = keys.storable(text)
    assert keys.is_storable(made)
    assert len(made) == len(text)
    assert (made == text) is keys.is_storable(text)
    assert keys.check_text(made, "it") == made


def test_a_tenants_root() -> None:
    assert keys.tenant_root(None) == ()
    assert keys.tenant_root("acme") == ("~acme",)
    assert keys.tenant_root("sessions") == ("~%73essions",)
    assert keys.tenant_root("a.b/~c") == ("~a%2Eb%2F%7Ec",)
    for bad in ("", "x" * 1025, "\x00"):
        with pytest.raises(InvalidKey, match="a tenant"):
            keys.tenant_root(bad)


# ── Namespaces as names ───────────────────────────────────────────────────────────────────────
NAMESPACES = st.lists(LABELS, min_size=1, max_size=3).map(tuple)


@given(NAMESPACES)
def test_a_namespace_comes_back(namespace: Namespace) -> None:
    assert keys.decode_namespace(keys.encode_namespace(namespace)) == namespace


def test_the_root_comes_back() -> None:
    assert keys.decode_namespace(keys.encode_namespace(())) == ()


@given(NAMESPACES, NAMESPACES)
def test_the_range_below_is_what_lies_below(root: Namespace, other: Namespace) -> None:
    for namespace in (other, root + other, root):
        low, high = keys.below(root)
        inside = len(namespace) > len(root) and namespace[: len(root)] == root
        assert (low <= keys.encode_namespace(namespace) < high) is inside


@given(NAMESPACES)
def test_everything_lies_below_the_root(namespace: Namespace) -> None:
    low, high = keys.below(())
    assert low <= keys.encode_namespace(namespace) < high
    assert low <= "\U0010ffff\U0010ffff" < high


@pytest.mark.parametrize(
    ("namespace", "root", "users"),
    [
        ((), (), True),
        (("notes",), (), True),
        (("sessions",), (), False),
        (("memory", "s"), (), False),
        (("checkpoints", "s", "%"), (), False),
        (("~t",), (), False),
        (("~t", "notes"), (), False),
        (("sessionsx",), (), True),
        (("notes", "memory"), (), True),
        (("notes", "memory"), ("notes",), True),
        (("notes", "~t"), ("notes",), True),
        (("notes", "a", "sessions"), ("notes", "a"), True),
        (("~t", "notes"), ("~t",), True),
        (("~t", "sessions"), ("~t",), False),
        (("~t", "memory", "s"), ("~t",), False),
        (("~t", "~u"), ("~t",), True),
        (("~t", "notes", "memory"), ("~t",), True),
        (("~t", "notes", "memory"), ("~t", "notes"), True),
    ],
)
def test_whose_a_namespace_is(namespace: Namespace, root: Namespace, users: bool) -> None:
    assert keys.is_users(namespace, root) is users


@pytest.mark.parametrize(
    ("namespace", "sessions", "reserved"),
    [
        ((), False, False),
        (("sessions",), True, True),
        (("sessions", "x"), False, True),
        (("memory",), False, True),
        (("memory", "sessions"), False, True),
        (("~t", "sessions"), True, True),
        (("~t", "checkpoints", "x"), False, True),
        (("~t",), False, False),
        (("x", "sessions"), False, False),
        (("%73essions",), False, False),
    ],
)
def test_what_is_reserved(namespace: Namespace, sessions: bool, reserved: bool) -> None:
    assert keys.is_sessions(namespace) is sessions
    assert keys.is_reserved(namespace) is reserved


# ── Partitions ────────────────────────────────────────────────────────────────────────────────
def places(id: str, tenant: str | None = None) -> list[tuple[Namespace, str]]:
    """Records of every kind of one session."""
    paths = keys.SessionPaths(keys.tenant_root(tenant), id)
    return [
        (paths.sessions, id),
        (paths.tombstones, "deleted"),
        (paths.memory, "0000000000"),
        (paths.memory, "summary"),
        (paths.memory_index, "next"),
        (paths.checkpoints, "%"),
        (paths.checkpoint_ns("%"), "c1"),
        (paths.checkpoint_ns("sub"), "c1!t1!0"),
        (paths.values("%"), "messages!1"),
    ]


@given(IDS.filter(bool), st.none() | IDS.filter(bool))
def test_a_session_is_one_partition(id: str, tenant: str | None) -> None:
    assume(len(id) <= keys.MAX_ID)
    found = {keys.partition(*place) for place in places(id, tenant)}
    assert len(found) == 1
    paths = keys.SessionPaths(keys.tenant_root(tenant), id)
    assert {keys.tree_partition(paths.memory), keys.tree_partition(paths.checkpoints)} == found
    assert keys.tree_partition(paths.checkpoint_ns("%")) in found


SESSIONS = [
    ("1", None), ("10", None), ("01", None), ("1 ", None), ("a", None), ("A", None), ("%", None),
    ("%25", None), ("sessions", None), ("%73essions", None), ("1", "t"), ("10", "t"), ("1", "u"),
    ("1", "1"), ("t", "1"), ("~t", None), ("t/1", None), ("/1", "t"),
]  # fmt: skip


def test_sessions_and_tenants_are_apart() -> None:
    partitions = [keys.partition(*places(id, tenant)[0]) for id, tenant in SESSIONS]
    assert len(set(partitions)) == len(SESSIONS)


@given(IDS.filter(bool), IDS.filter(bool))
def test_two_sessions_never_share_a_partition(one: str, other: str) -> None:
    first, second = (keys.partition(("sessions",), id) for id in (one, other))
    assert (first == second) is (one == other)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((("notes",), "a"), (("notes",), "b"), True),
        ((("notes",), "a"), (("notes", "x"), "a"), False),
        ((("notes", "x"), "a"), (("notes", "y"), "a"), False),
        ((("~t", "notes"), "a"), (("notes",), "a"), False),
        ((("~t", "notes"), "a"), (("~u", "notes"), "a"), False),
        ((("notes", "sessions"), "a"), (("notes", "sessions"), "b"), True),
        ((("sessions",), "a"), (("sessions",), "b"), False),
        ((("~t", "sessions"), "a"), (("sessions",), "a"), False),
        ((("memory", "a"), "1"), (("checkpoints", "a", "%"), "c"), True),
        ((("memory", "a"), "1"), (("memory", "ab"), "1"), False),
        ((("memory",), "1"), (("memory",), "2"), True),
        ((("memory", "notes"), "1"), (("notes",), "1"), False),
    ],
)
def test_which_records_share_a_partition(
    one: tuple[Namespace, str], other: tuple[Namespace, str], same: bool
) -> None:
    assert (keys.partition(*one) == keys.partition(*other)) is same


@pytest.mark.parametrize(
    "namespace", [(), ("sessions",), ("memory",), ("checkpoints",), ("notes",), ("~t",)]
)
def test_a_tree_of_many_partitions_has_none(namespace: Namespace) -> None:
    assert keys.tree_partition(namespace) is None


def test_a_partition_does_not_show_the_id() -> None:
    for place in places("secret-name", "t"):
        assert "secret" not in keys.partition(*place)
    assert keys.id_hash("secret-name") == keys.id_hash("secret-name")
    assert len(keys.id_hash("é🧵")) == 32
