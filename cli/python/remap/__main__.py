"""python -m remap: the program itself, where its folder is not on the PATH."""

import os
import sys

from remap import program

os.execv(program(), [program(), *sys.argv[1:]])
