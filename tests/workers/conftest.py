"""A player in this process, to which real websockets clients sit down."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from play_client import Table

from terrarium.workers.models import BadCheckpoint
from terrarium.workers.player import Player, listen


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Any]:
    @asynccontextmanager
    async def make(models: dict[str, Any], **options: Any) -> AsyncIterator[Table]:
        def load(checkpoint: str) -> Any:
            if checkpoint not in models:
                raise BadCheckpoint(f"checkpoint {checkpoint} is not here")
            if isinstance(models[checkpoint], Exception):
                raise models[checkpoint]
            assert models[checkpoint].may_load.wait(60)
            return models[checkpoint]

        player = Player(load, **({"max_players": 16} | options))
        url = f"unix://{tmp_path}/player.sock"
        server = await listen(player, url)
        try:
            yield Table(player, url)
        finally:
            server.close()
            await server.wait_closed()
            player.close()

    return make
