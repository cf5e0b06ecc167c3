"""The share of red, green and blue in luminance, BT.601."""

RED, GREEN, BLUE = 0.299, 0.587, 0.114
