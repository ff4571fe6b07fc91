"""What an operator means: parameters, shapes, dtypes. Importing the package fills `registry.OPERATORS`."""

from . import convolution as convolution
from . import deconvolution as deconvolution
from .registry import OPERATORS as OPERATORS
