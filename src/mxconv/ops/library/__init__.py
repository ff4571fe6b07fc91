"""The operators that stand beside the two in small networks, in plain NumPy. Importing the package registers them."""
