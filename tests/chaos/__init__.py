"""A real Terrarium under faults: what it promises is checked after minutes of them (docs/reliability.md)."""
