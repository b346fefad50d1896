"""Numbers by which a page tells a new value from the one that it has: an equal one may have been changed there since.

They begin with the clock's milliseconds: a page may hold a value of an earlier process, which came along with it or was
on the stage as the server was started anew.
"""

import itertools
import time

SERIAL = itertools.count(time.time_ns() // 1_000_000)
