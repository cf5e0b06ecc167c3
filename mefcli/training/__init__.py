"""Training: from free pictures to weights.

pack -> views -> simulator -> loader -> loop -> export, one file per step; `mef train` drives them.
Nothing here is imported by the rest of the tool.
"""
