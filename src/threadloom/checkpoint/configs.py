"""What LangGraph's configs say of a run."""

from __future__ import annotations

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata, get_checkpoint_metadata

from threadloom.checkpoint.layout import Place

_DURABILITY = "__pregel_durability"
"""Where LangGraph tells a run's durability."""


def run_of(place: Place, config: RunnableConfig) -> str | None:
    """The root's checkpoint that a subgraph's run belongs to."""
    ancestors = config["configurable"].get("checkpoint_map") or {}
    return None if place.is_root else ancestors.get("")


def metadata_of(config: RunnableConfig, metadata: CheckpointMetadata) -> CheckpointMetadata:
    """A checkpoint's metadata, with what the config adds to it."""
    merged = get_checkpoint_metadata(config, metadata)
    if "session_id" not in metadata:
        merged.pop("session_id", None)  # type: ignore[typeddict-item]
    return merged


def owner_of(config: RunnableConfig) -> str | None:
    """Who owns a session that begins with this run, if the config says so."""
    owner = config["configurable"].get("user_id")
    return owner if isinstance(owner, str) and owner else None


def is_on_purpose(config: RunnableConfig) -> bool:
    """Whether a run was told to go on from a checkpoint.

    LangGraph copies what its caller configured into the config's metadata.
    """
    return bool((config.get("metadata") or {}).get("checkpoint_id"))


def puts_last(config: RunnableConfig) -> bool:
    """Whether the root's only put comes at the end of the run."""
    return config["configurable"].get(_DURABILITY) == "exit"
