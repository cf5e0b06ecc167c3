"""The engine: any network, any number of frames, any size, in bounded memory, on any device."""
