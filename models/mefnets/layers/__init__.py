"""Layers that several papers' networks share."""
