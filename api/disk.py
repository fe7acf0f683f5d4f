"""What takes up the disk, by sort of thing, and how much is free."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy import func, select, text

from terrarium.store import disk
from terrarium.store.db import session_scope
from terrarium.store.places import SHIPPED
from terrarium.store.settings import settings
from terrarium.store.tables import Artifact, Asset

router = APIRouter(prefix="/v1", tags=["health"])
FOLDERS = {"play": "plays", "run": "runs", "upload": "incoming", "log": "logs", "compiled": "compiled"}


class DiskPart(BaseModel):
    type: str = Field(description="an asset's type, or play, artifact, run, upload, log, compiled, database")
    size: int = Field(description="bytes")


class DiskUse(BaseModel):
    free_bytes: int
    reserve_bytes: int = Field(description="TERRARIUM_RESERVE_MB: jobs that would leave less are refused")
    low: bool = Field(description="less is free than the reserve: readiness is red")
    parts: list[DiskPart] = Field(description="the largest first; what takes nothing is left out")


@router.get("/disk")
def use() -> DiskUse:
    """Assets and artifacts as the database knows them, wherever they lie; the rest as it lies in the data directory."""
    data_dir, reserve = settings().data_dir, settings().reserve_bytes
    sizes = {type: disk.size_of(data_dir / folder) for type, folder in FOLDERS.items()}
    with session_scope() as session:
        there = (Asset.deleted_at.is_(None), Asset.id != SHIPPED)
        by_type = select(Asset.type, func.sum(Asset.size)).where(*there).group_by(Asset.type)
        sizes |= {type: int(size or 0) for type, size in session.execute(by_type)}
        sizes["artifact"] = int(session.scalar(select(func.sum(Artifact.size))) or 0)
        sizes["database"] = int(session.scalar(text("SELECT pg_database_size(current_database())")) or 0)
    free = disk.free_bytes(data_dir)
    largest = sorted(sizes.items(), key=lambda part: part[1], reverse=True)
    parts = [DiskPart(type=type, size=size) for type, size in largest if size]
    return DiskUse(free_bytes=free, reserve_bytes=reserve, low=free < reserve, parts=parts)
