"""What belongs together: discover -> order, or discover -> group, from names and headers alone, no pixels."""
