"""The operators that stand beside the two in small networks, in plain NumPy. Importing the package registers them."""

from . import binary as binary
from . import identity as identity
from . import unary as unary
