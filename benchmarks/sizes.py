"""How much work the scenarios do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """The size of the work. Everything follows `turns`; `small` shrinks what does not.

    Attributes:
        turns: turns of a long chat.
        small: whether to shrink whatever does not follow the turns, for a check that all runs.
        data: a JSON Lines file of conversations for the scenario `agent`, if one is given.
    """

    turns: int = 1_000
    small: bool = False
    data: str | None = None

    @property
    def early(self) -> int:
        """The early turn that the last one is compared with."""
        return max(1, self.turns // 10)

    @property
    def characters(self) -> int:
        """The length of a message of the chat."""
        return 400

    @property
    def conversations(self) -> int:
        """Conversations that the agent has, at most."""
        return max(1, self.turns // 10)

    @property
    def files(self) -> int:
        """Entries of the dict of files."""
        return 20 if self.small else 500

    @property
    def file_characters(self) -> int:
        """The length of one of the files."""
        return 2_000

    @property
    def file_steps(self) -> int:
        """Steps of which each changes one file."""
        return max(1, self.turns * 3 // 10)

    @property
    def turns_handed_on(self) -> int:
        """Turns of a chat that is handed to a subgraph; savers take gigabytes for more."""
        return max(1, self.turns // 5)

    @property
    def window(self) -> int:
        """Messages that a sliding window keeps."""
        return 4 if self.small else 100

    @property
    def threads(self) -> int:
        """Threads that are used in turn."""
        return 3 if self.small else 50

    @property
    def turns_a_thread(self) -> int:
        """Turns of each of those threads."""
        return max(1, self.turns // 50)

    @property
    def crowd(self) -> int:
        """Sessions that are used at the same time."""
        return 4 if self.small else 32

    @property
    def sessions(self) -> int:
        """Small sessions that one process touches."""
        return self.turns * 10
