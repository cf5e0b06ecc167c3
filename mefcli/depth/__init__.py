"""Depth maps: enlarging them, and the colour picture's word on where their edges are."""
