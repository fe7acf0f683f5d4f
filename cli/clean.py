"""terrarium clean --dry-run
terrarium clean --json"""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from terrarium.cli.adopt import database_url
from terrarium.store.data_dir import prepare_data_dir
from terrarium.store.disk import human
from terrarium.store.errors import Unavailable
from terrarium.store.settings import settings
from terrarium.workers.retention import Heap
from terrarium.workers.retention import clean as remove_what_is_past_its_time


def clean(data_dir: Path, dry_run: bool, as_json: bool) -> None:
    """Prints what is past its time, and removes it unless `dry_run`."""
    data_dir = prepare_data_dir(data_dir)
    url = database_url(data_dir)
    if not url:
        raise Unavailable(f"no server runs on {data_dir}: start `terrarium up` there, or set DATABASE_URL")
    settings().data_dir, settings().database_url = data_dir, url
    heaps = remove_what_is_past_its_time(remove=not dry_run)
    if as_json:
        things = {what: {"files": heap.files, "rows": heap.rows, "bytes": heap.size} for what, heap in heaps.items()}
        print(
            json.dumps({"removed": not dry_run, "bytes": sum(heap.size for heap in heaps.values()), "things": things})
        )
    else:
        show(heaps, dry_run)


def show(heaps: dict[str, Heap], dry_run: bool) -> None:
    table = Table("what", "files", "rows", "size", box=None, pad_edge=False)
    for what, heap in heaps.items():
        table.add_row(what, str(len(heap.files)), str(heap.rows), human(heap.size))
        for name, size in heap.files.items() if dry_run else ():
            table.add_row(f"  {name}", "", "", human(size))
    console = Console()
    console.print(table)
    total = human(sum(heap.size for heap in heaps.values()))
    console.print(f"{total} would go: `terrarium clean` removes it" if dry_run else f"{total} removed", highlight=False)
