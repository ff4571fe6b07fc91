"""The operators that stand beside the two in small networks, in plain NumPy. Importing the package registers them."""

from . import activation as activation
from . import arrange as arrange
from . import batch_norm as batch_norm
from . import binary as binary
from . import broadcast as broadcast
from . import convolution_v1 as convolution_v1
from . import creation as creation
from . import dropout as dropout
from . import fully_connected as fully_connected
from . import identity as identity
from . import indexing as indexing
from . import join as join
from . import leaky_relu as leaky_relu
from . import losses as losses
from . import matrix as matrix
from . import normalization as normalization
from . import pad as pad
from . import pooling as pooling
from . import reduce as reduce
from . import reshape as reshape
from . import slicing as slicing
from . import softmax as softmax
from . import unary as unary
from . import upsampling as upsampling
