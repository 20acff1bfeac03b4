"""Tests of the inspector: a program of its own, whose modules go by their bare names once its folder is on the path (here)."""

import sys

from services.checker.adapters.inspector_process import PROGRAM

if str(PROGRAM) not in sys.path:
    sys.path.append(str(PROGRAM))
