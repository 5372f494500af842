"""What an application might keep in its state."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from pydantic import BaseModel


class Mood(Enum):
    calm = "calm"
    hurried = "hurried"


class Leg(NamedTuple):
    start: str
    end: str


@dataclass
class Bag:
    weight: float
    things: list[str] = field(default_factory=list)


class Plan(BaseModel):
    title: str
    mood: Mood
    bags: list[Bag] = []
