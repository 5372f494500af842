"""Creates and changes sessions without rest until it is killed: URL, NUMBER."""

from __future__ import annotations

import sys
from itertools import count

from threadloom.ops import Patch, Put
from threadloom_redis import RedisStore

store = RedisStore(sys.argv[1])
for number in count():
    session = f"{sys.argv[2]}-{number}"
    doc = {"owner": "ana", "created_at": number, "updated_at": number, "n": 0}
    space = ("memory", session)
    store.execute(
        [
            *(Put(space, key, blob=bytes(2_000), text="hello") for key in ("1", "2")),
            Put(space, "next", doc={"n": 0}),
            Put(("sessions",), session, doc=doc, expect="absent"),
        ]
    )
    for turn in range(1, 3):
        store.execute(
            [
                Put(space, "1", text=f"turn {turn}"),
                Put(space, "next", doc={"n": turn}),
                Patch(
                    ("sessions",),
                    session,
                    set={"status": f"s{turn}"},
                    maximum={"updated_at": number + turn},
                    increment={"n": 1},
                ),
            ]
        )
    print(session, flush=True)
