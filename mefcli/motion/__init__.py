"""Where frames of one bracket moved, and where the scene moved: estimation, warping, flow, ghosts.

Pure numpy and OpenCV, no torch. The stages that use it are `pipeline/align.py` and `pipeline/deghost.py`.
Matrices are 3x3 float64 and map a pixel of the reference (x, y, 1) to the same scene point in the frame.
"""
