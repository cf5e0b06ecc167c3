"""Light beyond white: the radiance that a bracket's frames show together, linear and without a ceiling."""
