"""Symbol: a graph of operators, seen from its outputs.

>>> from mxconv import sym
>>> net = sym.Convolution(sym.Variable("x"), kernel=(3, 3), num_filter=8, name="c")
>>> net.list_arguments(), net.list_outputs()
(['x', 'c_weight', 'c_bias'], ['c_output'])
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..attribute import AttrScope, listed, stored_key
from ..errors import DTypeError, ParamError
from ..files import PathName
from ..ndarray.base import array_dtype
from ..ndarray.params_file import CODES
from ..ops.grammar import attr_text
from ..ops.refusal import refusal
from ..ops.registry import lookup
from .arithmetic import ArithmeticMethods, not_for_symbols
from .compose import compose, create
from .graph import Entry, Node, replace_variables, split_variables, topological
from .infer import Lists, shape_lists, type_lists
from .json_file import load_json, save, tojson

if TYPE_CHECKING:
    from collections.abc import Callable

ONLY_ARRAYS = ("as_in_context", "asnumpy", "asscalar", "backward", "copy", "detach", "wait_to_read")
STORAGE_TYPES = {"default": 0, "row_sparse": 1, "csr": 2}


class Symbol(ArithmeticMethods):
    """A graph of operators; made by the functions of `mx.sym`, by `Variable`, `Group`, `load` and `load_json`.

    A Symbol stands for one or more outputs: `len`, indexing and iteration speak of these. Every operator is also a
    method of its first input: `x.reshape((0, -1))`. Graphs are not changed once they are made, but for attributes.
    """

    __slots__ = ()

    # ---- outputs

    def __repr__(self) -> str:
        if self.name is not None:
            return f"<Symbol {self.name}>"
        return f"<Symbol group [{', '.join(entry.node.name for entry in self.entries)}]>"

    def __iter__(self) -> Iterator[Symbol]:
        return (Symbol((entry,)) for entry in self.entries)

    def __getitem__(self, index: int | str | slice) -> Symbol:
        """One output by its place or its name in list_outputs(), or a group of those in a slice.

        Raises: IndexError, ValueError, TypeError; ParamError, for a negative number.
        """
        if isinstance(index, slice):
            if any(bound is not None and bound < 0 for bound in (index.start, index.stop, index.step)):
                raise _negative(index)
            stop = len(self) if index.stop is None else index.stop
            return Group([self[i] for i in range(index.start or 0, stop, index.step or 1)])
        if isinstance(index, str):
            index = self._find_output(index)
        if not isinstance(index, (int, np.integer)):
            raise TypeError(f"Symbol only support integer index to fetch i-th output, got {index!r:.60}")
        if index < 0:
            raise _negative(index)
        if index >= len(self):
            raise IndexError(f"output {index} of {len(self)}")
        return Symbol((self.entries[index],))

    def _find_output(self, name: str) -> int:
        places = [place for place, one in enumerate(self.list_outputs()) if one == name]
        if not places:
            raise ValueError(f'Cannot find output that matches name "{name}"')
        if len(places) > 1:
            raise ValueError(f'There are multiple outputs with name "{name}"')
        return places[0]

    # ---- names

    @property
    def name(self) -> str | None:
        """The node's name; None for a group of several nodes."""
        head = self._head()
        return None if head is None else head.name

    def list_arguments(self) -> list[str]:
        """The names of the variables, depth first, without the auxiliary states."""
        return [node.name for node in split_variables(topological(self.entries))[0]]

    def list_auxiliary_states(self) -> list[str]:
        """The names of the variables that training changes otherwise than by gradients."""
        return [node.name for node in split_variables(topological(self.entries))[1]]

    def list_inputs(self) -> list[str]:
        """The names of all variables, depth first."""
        return [node.name for node in topological(self.entries) if node.is_variable]

    def list_outputs(self) -> list[str]:
        """The names of the outputs: the node's with `_output` or the like, a variable's as it is."""
        names = {node: node.output_names() for node in {entry.node for entry in self.entries}}
        return [names[node][index] for node, index in self.entries]

    def get_internals(self) -> Symbol:
        """A group of every output of every node, in the order in which they are computed."""
        return Symbol([entry for node in topological(self.entries) for entry in node.entries()])

    def get_children(self) -> Symbol | None:
        """A group of the inputs of our nodes; None for a variable."""
        nodes = dict.fromkeys(entry.node for entry in self.entries)
        inputs = [entry for node in nodes for entry in node.inputs]
        return Symbol(inputs) if inputs else None

    # ---- attributes

    def attr(self, key: str) -> str | None:
        """An attribute of the node, by either spelling of a hidden key; None if there is none, and for groups."""
        head = self._head()
        if head is None:
            return None
        if key == "name":
            return head.name
        return listed(head.attrs).get(key)

    def list_attr(self, recursive: bool = False) -> dict[str, str]:
        """The attributes of the first node; hidden keys in both spellings. Raises: DeprecationWarning, if recursive."""
        if recursive:
            raise DeprecationWarning(
                "Symbol.list_attr with recursive=True has been deprecated. Please use attr_dict instead."
            )
        return listed(self.entries[0].node.attrs) if self.entries else {}

    def attr_dict(self) -> dict[str, dict[str, str]]:
        """The attributes of every node that has any, by its name."""
        attributes: dict[str, dict[str, str]] = {}
        for node in topological(self.entries):
            if node.attrs:
                attributes.setdefault(node.name, {}).update(listed(node.attrs))
        return attributes

    def _set_attr(self, **attributes: str) -> None:
        """Add attributes to the node. Raises: ValueError, for values that are no str."""
        head = self._head()
        if head is None:
            why, fix = "Symbol.SetAttrs only works for non-grouped symbol", "Pick one output, such as group[0]."
            raise refusal(ParamError, "symbol", "a group", "one node", why, fix=fix, op="_set_attr")
        head.replace_attrs({**head.attrs, **_stored(attributes)})

    def _head(self) -> Node | None:
        """The node that all outputs belong to."""
        nodes = {entry.node for entry in self.entries}
        return nodes.pop() if len(nodes) == 1 else None

    # ---- graphs from graphs

    def __call__(self, *args: Any, **kwargs: Any) -> Symbol:
        """A copy in which variables, by their names, are other symbols; `name` renames the node.

        >>> from mxconv import sym
        >>> net = sym.Flatten(name="f")
        >>> net(f_data=sym.Variable("x"), name="g").list_outputs(), net.list_arguments()
        (['g_output'], ['f_data'])

        Raises: ParamError, TypeError.
        """
        return Symbol(compose(self.entries, args, kwargs))

    def __copy__(self) -> Symbol:
        return Symbol(replace_variables(self.entries, {}))

    def __deepcopy__(self, memo: Any) -> Symbol:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self.tojson(),)

    def __getattr__(self, name: str) -> Callable[..., Symbol]:
        """Any operator, with this symbol as its first input."""
        if name in ONLY_ARRAYS:
            raise not_for_symbols(name)
        spec = None if name.startswith("_") else lookup(name)
        if spec is None:
            raise AttributeError(f"'Symbol' object has no attribute {name!r}, and there is no operator of that name")
        found = spec

        def method(*args: Any, **kwargs: Any) -> Symbol:
            return Symbol(create(found, name, (self, *args), kwargs))

        method.__name__, method.__doc__ = name, found.doc
        return method

    def astype(self, dtype: Any, **kwargs: Any) -> Symbol:
        """The operator `cast`."""
        return self.cast(dtype=dtype, **kwargs)

    def flatten(self, inplace: bool = False, **kwargs: Any) -> Symbol:
        """The operator `flatten`; `inplace` means nothing."""
        return self.__getattr__("flatten")(**kwargs)

    def expand_dims(self, axis: int, inplace: bool = False, **kwargs: Any) -> Symbol:
        """The operator `expand_dims`; `inplace` means nothing."""
        return self.__getattr__("expand_dims")(axis=axis, **kwargs)

    def squeeze(self, axis: Any = None, inplace: bool = False, **kwargs: Any) -> Symbol:
        """The operator `squeeze`; `inplace` means nothing."""
        return self.__getattr__("squeeze")(axis=axis, **kwargs)

    # ---- shapes and types

    def infer_shape(self, *args: Any, **kwargs: Any) -> Lists:
        """Shapes of arguments, outputs and auxiliary states from those that are given, by position or by name.

        Shapes are tuples; unknown are extents of 0 (-1 inside `mx.util.np_shape()`) and -1, and the rank of `()`
        (None). If some stay unknown, a warning lists them and the result is (None, None, None).

        >>> from mxconv import sym
        >>> net = sym.Convolution(sym.Variable("x"), kernel=(3, 3), num_filter=8, name="c")
        >>> net.infer_shape(x=(1, 3, 9, 9))
        ([(1, 3, 9, 9), (8, 3, 3, 3), (8,)], [(1, 8, 7, 7)], [])

        Raises: ShapeError or ParamError, naming the node; TypeError, ValueError.
        """
        return shape_lists(self.entries, args, kwargs, partial=False)

    def infer_shape_partial(self, *args: Any, **kwargs: Any) -> Lists:
        """As `infer_shape`, but gives what is known."""
        return shape_lists(self.entries, args, kwargs, partial=True)

    def infer_type(self, *args: Any, **kwargs: Any) -> Lists:
        """NumPy types of arguments, outputs and auxiliary states, likewise; None is unknown."""
        return type_lists(self.entries, args, kwargs, partial=False)

    def infer_type_partial(self, *args: Any, **kwargs: Any) -> Lists:
        """As `infer_type`, but gives what is known."""
        return type_lists(self.entries, args, kwargs, partial=True)

    # ---- texts

    def tojson(self, remove_amp_cast: bool = True) -> str:
        """The graph as MXNet 1.9.1 writes it, byte for byte; `remove_amp_cast` means nothing."""
        return tojson(self.entries)

    def save(self, fname: PathName, remove_amp_cast: bool = True) -> None:
        """Write `tojson()` to a file, which is replaced when the new one is complete, not before."""
        save(fname, self.entries)

    def debug_str(self) -> str:
        """The graph for people: outputs, variables, and each operator with its inputs and attributes."""
        if len(self) == 1 and self.entries[0].node.is_variable:
            return f"Variable:{self.name}\n"
        lines = ["Symbol Outputs:"]
        lines += [f"\toutput[{i}]={entry.node.name}({entry.index})" for i, entry in enumerate(self.entries)]
        for node in topological(self.entries):
            if node.op is None:
                lines.append(f"Variable:{node.name}")
                continue
            lines += ["-" * 20, f"Op:{node.op.name}, Name={node.name}", "Inputs:"]
            for i, (entry, version) in enumerate(zip(node.inputs, node.versions, strict=True)):
                state = f" version={version}" if entry.node.is_variable else ""
                lines.append(f"\targ[{i}]={entry.node.name}({entry.index}){state}")
            lines += ["Attrs:"] * bool(node.attrs)
            lines += [f"\t{key}={value}" for key, value in sorted(node.attrs.items())]
        return "\n".join(lines) + "\n"

    # ---- running

    def bind(
        self,
        ctx: Any,
        args: Any,
        args_grad: Any = None,
        grad_req: Any = "write",
        aux_states: Any = None,
        group2ctx: Any = None,
        shared_exec: Any = None,
    ) -> Any:
        """An Executor on these arrays; see `mx.executor`."""
        from .bind import bind

        return bind(self, ctx, args, args_grad, grad_req, aux_states, group2ctx, shared_exec)

    def simple_bind(
        self,
        ctx: Any,
        grad_req: Any = "write",
        type_dict: Any = None,
        stype_dict: Any = None,
        group2ctx: Any = None,
        shared_arg_names: Any = None,
        shared_exec: Any = None,
        shared_buffer: Any = None,
        **kwargs: Any,
    ) -> Any:
        """An Executor on new arrays of zeros, from the shapes of the data; see `mx.executor`."""
        from .bind import simple_bind

        return simple_bind(
            self,
            ctx,
            kwargs,
            grad_req,
            type_dict,
            stype_dict,
            group2ctx,
            shared_arg_names,
            shared_exec,
            shared_buffer,
        )

    def eval(self, ctx: Any = None, **kwargs: Any) -> Any:
        """The outputs for these arrays, by the names of the variables."""
        from ..context import current_context

        return self.bind(current_context() if ctx is None else ctx, kwargs, aux_states=kwargs).forward()


def Variable(
    name: str,
    attr: Mapping[str, str] | None = None,
    shape: Any = None,
    lr_mult: Any = None,
    wd_mult: Any = None,
    dtype: Any = None,
    init: Any = None,
    stype: str | None = None,
    **kwargs: Any,
) -> Symbol:
    """A symbol whose value is given when the graph is run.

    What is said of it is kept as attributes: `shape` and `dtype` are where inference begins, `init` (an initializer of
    `mx.init`, or its text) is how `mx.init` fills the array, `lr_mult` and `wd_mult` are for optimizers.

    >>> Variable("x", shape=(0, 3, 32, 32)).list_attr()
    {'__shape__': '(0, 3, 32, 32)'}

    Raises: TypeError, for a name that is no str; ValueError, for other keywords than `__dunder__` ones.
    """
    if not isinstance(name, str):
        raise TypeError(f"Expect a string for variable `name`, got {name!r:.60}")
    attributes = AttrScope.current.get(attr)
    hints = {
        "__shape__": None if shape is None else attr_text(shape),
        "__lr_mult__": None if lr_mult is None else str(lr_mult),
        "__wd_mult__": None if wd_mult is None else str(wd_mult),
        "__dtype__": None if dtype is None else _dtype_code(dtype),
        "__init__": init if init is None or isinstance(init, str) else init.dumps(),
        "__storage_type__": None if stype is None else str(STORAGE_TYPES[stype]),
    }
    attributes.update({key: text for key, text in hints.items() if text is not None})
    for key, value in kwargs.items():
        if not (key.startswith("__") and key.endswith("__")):
            raise ValueError(
                f"Attribute name={key} is not supported. Additional attributes must start and end with double "
                "underscores, e.g, __yourattr__"
            )
        attributes[key] = str(value)
    return Symbol((Entry(Node(None, name, _stored(attributes)), 0),))


def Group(symbols: Iterable[Symbol]) -> Symbol:
    """One symbol with the outputs of several. Raises: TypeError, for anything but a list of some symbols."""
    members = [] if isinstance(symbols, Symbol) else list(symbols)
    if not members or any(not isinstance(one, Symbol) for one in members):
        raise TypeError("Expected a list of symbols as input")
    return Symbol([entry for one in members for entry in one.entries])


def _unpickle(text: str) -> Symbol:
    return Symbol(load_json(text))


def _stored(attributes: Mapping[str, Any]) -> dict[str, str]:
    for key, value in attributes.items():
        if not isinstance(value, str):
            raise ValueError(f"Set Attr only accepts string values, but {key} is {value!r:.60}")
    return {stored_key(key): value for key, value in attributes.items()}


def _dtype_code(dtype: Any) -> str:
    found = array_dtype(dtype)
    if found not in CODES:
        fix = "Use one of these, or leave dtype out: it is inferred."
        raise refusal(DTypeError, "dtype", found, ", ".join(map(str, CODES)), fix=fix, op="Variable")
    return str(CODES[found])


def _negative(index: Any) -> ParamError:
    why, fix = "Symbol only accept nonnegative index", "Count from the first output."
    return refusal(ParamError, "index", index, "0 or more", why, fix=fix, op="Symbol")
