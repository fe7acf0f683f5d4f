"""Terrarium trains, generates and streams small neural worlds."""
