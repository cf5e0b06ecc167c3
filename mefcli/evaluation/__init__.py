"""Seeing and judging: metrics, benchmark scenes, tables and ranks. `metrics.score` is the heart."""
