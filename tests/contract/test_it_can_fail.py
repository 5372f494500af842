"""Each promise that a store breaks is noticed: by the contract, and by which tests of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from contract import broken
from threadloom.stores.memory import MemoryStore
from threadloom.testing import MODES, Driver, FrozenClock, Mode, StoreContract

# What is broken, and tests that must fail for it, in every mode unless said otherwise.
BROKEN: list[tuple[type[MemoryStore], list[str]]] = [
    (
        broken.SharesDocuments,
        ["what_was_handed_out_may_be_changed", "values_are_not_shared"],
    ),
    (
        broken.IgnoresExpectations,
        [
            "expectations_that_fail",
            "a_record_made_again_is_not_the_same",
            "a_failed_expectation_changes_nothing",
            "only_one_makes_a_record",
            "the_expired_are_absent",
        ],
    ),
    (
        broken.ReusesVersions,
        [
            "versions_are_not_used_again_after_a_delete",
            "a_record_made_again_is_not_the_same",
            "what_was_deleted_does_not_come_back",
        ],
    ),
    (
        broken.TakesPrefixesForStrings,
        [
            "a_prefix_is_whole_labels",
            "session_1_never_sees_session_10",
            "list_namespaces_at_or_below",
            "search",
        ],
    ),
    (
        broken.LosesAtomicity,
        [
            "a_failed_expectation_changes_nothing",
            "a_write_that_fails_takes_the_batch_with_it",
            "an_unknown_operation_changes_nothing",
            "a_document_that_is_no_json_changes_nothing",
            "over_several_partitions_each_is_all_or_nothing",
        ],
    ),
    (
        broken.NeverExpires,
        [
            "a_record_lives_until_it_expires",
            "no_read_sees_what_has_expired",
            "the_expired_do_not_count_towards_limits",
            "the_expired_are_found_by_who_asks",
            "overwriting_begins_a_new_life",
            "sessions_that_have_expired_are_listed_only_as_such",
        ],
    ),
    (
        broken.RenewsByWriting,
        [
            "renewing_lets_a_record_live_longer_and_changes_nothing_else",
            "nothing_else_is_renewed",
            "reads_renew_an_item_and_change_nothing_else",
        ],
    ),
    (broken.CreatesAnew, ["created_stays_and_updated_moves", "put_get_delete"]),
    (broken.SortsLikeUtf16, ["keys_are_ordered_by_code_points"]),
    (
        broken.RoundsNumbers,
        ["documents_keep_every_json_value_and_its_type", "patch_increment_is_exact"],
    ),
    (broken.TakesEmptyForNothing, ["empty_is_not_none"]),
    (broken.FoldsCase, ["keys_are_compared_exactly", "any_text_is_a_key"]),
    (broken.LosesIncrements, ["increments_lose_nothing"]),
    (
        broken.SearchesForParts,
        ["a_word_is_a_whole_word", "nothing_is_query_syntax"],
    ),
    (broken.CopiesOnTop, ["copy_tree_copies_a_namespace_and_all_below", "a_copy_is_of_its_batch"]),
    (broken.CopiesForEver, ["expired_records_are_not_copied"]),
    (
        broken.CopiesWithoutWords,
        ["copy_tree_copies_a_namespace_and_all_below", "copies_and_originals_share_nothing"],
    ),
    (broken.CopiesIntoItself, ["copies_that_cannot_be"]),
    (broken.NeverCloses, ["a_closed_store_says_so", "a_with_block_closes"]),
    (broken.IgnoresTheUnknown, ["an_unknown_operation_changes_nothing"]),
    (
        broken.RefusesWhatItCan,
        ["expectations_that_hold", "a_failed_expectation_changes_nothing"],
    ),
    (broken.PretendsToBeDurable, ["what_is_durable_comes_back"]),
]
CASES = [
    pytest.param(store, f"test_{name}", mode, id=f"{store.__name__}-{name}-{mode}")
    for store, names in BROKEN
    for name in names
    for mode in MODES
]
ON_A_LOOP = [
    (broken.DiffersOnTheLoop, "test_a_record_comes_back_as_it_was_written"),
    (broken.BindsToALoop, "test_a_loop_that_has_closed_leaves_nothing_behind"),
    (broken.BindsToALoop, "test_two_event_loops_in_two_threads"),
]


def run(store: type[MemoryStore], name: str, mode: Mode) -> None:
    """Run one test of the contract, as pytest would."""
    clock = FrozenClock()
    with store(clock=clock) as opened, Driver(opened, mode, clock) as db:
        getattr(StoreContract(), name)(db)


@pytest.mark.parametrize(("store", "name", "mode"), CASES)
def test_a_broken_promise_is_noticed(store: type[MemoryStore], name: str, mode: Mode) -> None:
    run(MemoryStore, name, mode)
    with pytest.raises((Exception, pytest.fail.Exception)):
        run(store, name, mode)


@pytest.mark.parametrize(("store", "name"), ON_A_LOOP)
@pytest.mark.parametrize("mode", ["async", "across"])
def test_a_drifted_twin_is_noticed(store: type[MemoryStore], name: str, mode: Mode) -> None:
    with pytest.raises((Exception, pytest.fail.Exception)):
        run(store, name, mode)


def test_what_works_sync_passes_sync() -> None:
    run(broken.DiffersOnTheLoop, "test_a_record_comes_back_as_it_was_written", "sync")


# What somebody else's test file makes of it


def run_pytest(folder: Path, source: str, *options: str) -> str:
    """Run a test file in a process of its own, and return what pytest prints."""
    (folder / "test_mine.py").write_text(source, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider", *options],
        cwd=folder,
        env={**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.stdout + done.stderr


CLOCKLESS = """
from threadloom.stores.memory import MemoryStore
from threadloom.testing import StoreContract

class TestMine(StoreContract):
    def open_store(self, clock):
        return MemoryStore()
"""
WHOLE = """
import pytest
from threadloom.stores.memory import MemoryStore
from threadloom.testing import StoreContract, store_state_machine

class TestMine(StoreContract):
    @pytest.fixture
    def store(self, clock):
        with MemoryStore(clock=clock) as store:
            yield store

TestMineAtRandom = store_state_machine(lambda clock: MemoryStore(clock=clock)).TestCase
"""
UNFINISHED = """
from threadloom.testing import StoreContract

class TestMine(StoreContract):
    pass
"""


def test_a_store_with_a_clock_of_its_own_is_refused(tmp_path: Path) -> None:
    output = run_pytest(tmp_path, CLOCKLESS, "-k", "what_is_not_there_is_none")
    assert "does not tell the time by the fixture `clock`" in output
    assert "3 errors" in output


def test_a_subclass_that_opens_nothing_is_told_what_to_define(tmp_path: Path) -> None:
    output = run_pytest(tmp_path, UNFINISHED, "-k", "what_is_not_there_is_none")
    assert "define open_store(self, clock), or a fixture named store" in output


def test_a_few_lines_run_the_whole_contract_without_any_plugin(tmp_path: Path) -> None:
    names = [name for name in dir(StoreContract) if name.startswith("test_")]
    assert len(names) > 100
    output = run_pytest(tmp_path, WHOLE, "--collect-only")
    assert f"{3 * len(names) + 1} tests collected" in output
    output = run_pytest(tmp_path, WHOLE, "-k", "TestMine and patch")
    assert " passed" in output
    assert "failed" not in output
