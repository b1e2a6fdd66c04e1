"""Closed forms for parameters that a network uses outside its layers, found in the autograd graph.

The projections of ``nn.MultiheadAttention`` and a learnt position embedding, for example, are not used by a layer that
is called once on all samples. If a single operation of known derivative uses a parameter, the per-sample gradients
follow from the gradient at the operation's output. The sample axis is the first or second axis of this output (of a
matrix product: after its rows are viewed as samples and positions); the probe determines which.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

AXES = (0, 1)
"""Candidate sample axes of an operation's output, or of its viewed rows: batch first, or sequence first."""

TRANSPOSED = ("TBackward0", "TransposeBackward0")
EMBEDDED = "EmbeddingBackward0"
PASSED = (*TRANSPOSED, EMBEDDED, "CloneBackward0")
"""Kinds of nodes allowed between a parameter and its use."""

PRODUCTS = ("AddmmBackward0", "MmBackward0")
"""Matrix products, whose first factor has one row per sample and position."""

VIEWS = ("ViewBackward0", "UnsafeViewBackward0")

KNOWN = {
    ("AddmmBackward0", 0), ("AddmmBackward0", 2), ("MmBackward0", 1), ("AddBackward0", 0), ("AddBackward0", 1),
    ("MulBackward0", 0), ("MulBackward0", 1), ("ExpandBackward0", 0),
}  # fmt: skip
"""Kind of node with a known derivative, and index of the parameter among its tensor arguments."""

REORDERING = ("Index", "MaskedScatter", "MaskedSelect", "Gather", "Scatter", "Sort", "Take")
"""Name prefixes of nodes that may reorder the rows of samples, differently in each pass."""


@dataclass(frozen=True)
class _Use:
    """The only operation that uses a parameter.

    Attributes:
        name: the parameter's name.
        edge: the operation's output in the graph.
        sides: shape of the output; for a matrix product, the shape into which its rows are viewed afterwards.
        axis: index in ``sides`` of the sample axis, of length N.
    """

    name: str
    edge: GradientEdge
    sides: tuple[int, ...]
    axis: int

    @property
    def samples(self) -> int:
        """Number N of samples."""
        return self.sides[self.axis]

    def by_sample(self, rows: Tensor) -> Tensor:
        """Rows of a matrix ``(rows, E)`` → ``(N, L, E)``."""
        return rows.view(*self.sides, -1).movedim(self.axis, 0).reshape(self.samples, -1, rows.shape[1])


@dataclass(frozen=True)
class MatrixUse(_Use):
    """A product ``rows @ W``.

    Attributes:
        rows: the matrix that multiplies W, ``(N · L, in)``.
        transposed: whether the parameter is Wᵀ, as in linear layers.
    """

    rows: Tensor
    transposed: bool

    def factors(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return factors ``(N, 1, H, L)`` and ``(N, 1, V, L)`` of the per-sample gradients of a parameter ``(H, V)``.

        Args:
            gradient: gradient at the product, ``(N · L, out)``.
        """
        inputs, outputs = (self.by_sample(values).mT[:, None] for values in (self.rows, gradient))
        return (outputs, inputs) if self.transposed else (inputs, outputs)


@dataclass(frozen=True)
class EntrywiseUse(_Use):
    """A sum, elementwise product or expansion that broadcasts the parameter, or rows looked up in it, over the samples.

    Attributes:
        used: shape of the operand: the parameter's, or that of the looked-up rows ``(..., width)``.
        factor: the other factor of a product; ``None`` for a sum or an expansion.
        flat: whether the output is a matrix with one row per sample and position (the bias of a matrix product).
        looked_up: rows of an embedding; ``None`` if the whole parameter is used.
    """

    used: torch.Size
    factor: Tensor | None
    flat: bool
    looked_up: "Rows | None"

    def elements(self, gradient: Tensor) -> int:
        """Return the elements per sample of the gradient at the output and of the parameter's gradient, together."""
        return gradient.numel() // self.samples + (prod(self.used) if self.looked_up is None else self.looked_up.size)

    def gradients(self, gradient: Tensor, part: slice) -> Tensor:
        """Return the per-sample gradients ``(n, P)`` of a parameter with P elements, in a new tensor.

        Args:
            gradient: gradient at the operation's output, in the output's shape.
            part: the n samples.
        """

        def of_part(values: Tensor) -> Tensor:
            return (self.by_sample(values) if self.flat else values.movedim(self.axis, 0))[part]

        values = of_part(gradient)
        values = values.clone() if self.factor is None else values * of_part(self.factor.expand_as(gradient))
        shape = padded(self.used, values.ndim)
        shape.pop(self.axis)
        values = values.sum_to_size(len(values), *shape)
        return (values if self.looked_up is None else self.looked_up.placed(values)).flatten(1)


@dataclass(frozen=True)
class Rows:
    """The rows of a matrix that an embedding looks up.

    Attributes:
        numbers: indices of the rows.
        shape: the matrix's shape.
        padding: index of a row without a gradient; −1 if there is none.
    """

    numbers: Tensor
    shape: torch.Size
    padding: int

    @property
    def size(self) -> int:
        """Number of elements of the matrix."""
        return self.shape.numel()

    def placed(self, values: Tensor) -> Tensor:
        """Sum gradients of looked-up rows ``(n, ..., width)`` into those of the matrix, ``(n, height, width)``."""
        height, width = self.shape
        matrix = values.new_zeros(len(values), height, width)
        matrix.index_add_(1, self.numbers.flatten(), values.reshape(len(values), -1, width))
        if self.padding >= 0:
            matrix[:, self.padding] = 0
        return matrix


Use = MatrixUse | EntrywiseUse


def padded(shape: torch.Size, axes: int) -> list[int]:
    """Return a shape with ones in front, as in broadcasting to a tensor with more axes."""
    return [1] * (axes - len(shape)) + [*shape]


def find(logits: Tensor, leaves: Mapping[str, Tensor], samples: int, axes: Mapping[str, Iterable[int]]) -> list[Use]:
    """Find the parameters' uses in the graph of a forward pass.

    Args:
        logits: ``(N, ..., K)``, with its graph.
        leaves: the parameters of the pass, which require gradients, by name.
        samples: number N of samples in the pass.
        axes: parameter → candidate sample axes; other parameters are left out.

    Returns:
        a use for each parameter and each candidate axis of length N; none for parameters used more than once, by an
        unknown operation, or by one whose output is later indexed or reordered.
    """
    if not leaves or not axes or logits.grad_fn is None:
        return []
    names = {id(leaf): name for name, leaf in leaves.items()}
    parents: dict[Any, list[Any]] = {}
    consumers: dict[str, list[tuple[Any, int, _Path]]] = {}
    every = [*_nodes([logits.grad_fn])]
    reordered = {*_nodes([node for node in every if _kind(node).startswith(REORDERING)])}
    for node in every:
        for place, (child, _) in enumerate(node.next_functions):
            parents.setdefault(child, []).append(node)
            path = _path(child)
            if _kind(node) not in PASSED and id(path.leaf) in names:
                consumers.setdefault(names[id(path.leaf)], []).append((node, place, path))
    return [
        use
        for name, found in consumers.items()
        if len(found) == 1 and found[0][0] not in reordered
        for axis in axes.get(name, ())
        if (use := _known_use(name, samples, axis, *found[0], parents)) is not None
    ]


@dataclass(frozen=True)
class _Path:
    """The path from a leaf to its use: the leaf, the number of transpositions, and the node of an embedding, if any."""

    leaf: Tensor | None
    transposed: int
    embedding: Any


def _kind(node: Any) -> str:
    """Return a node's kind; ``node.name()`` may be hidden by an attribute that a user's function sets."""
    return type(node).__name__


def _path(node: Any) -> _Path:
    transposed, embedding = 0, None
    while _kind(node) in PASSED:
        transposed += _kind(node) in TRANSPOSED
        embedding = node if _kind(node) == EMBEDDED else embedding
        node = node.next_functions[0][0]
    return _Path(node.variable if _kind(node) == "AccumulateGrad" else None, transposed, embedding)


def _nodes(first: Sequence[Any]) -> Iterator[Any]:
    """Yield the given nodes and all nodes reachable from them, each once."""
    waiting, seen = [*first], {None, *first}
    while waiting:
        node = waiting.pop()
        yield node
        for child, _ in node.next_functions:
            if child not in seen:
                seen.add(child)
                waiting.append(child)


def _known_use(
    name: str, samples: int, axis: int, node: Any, place: int, path: _Path, parents: Mapping[Any, list[Any]]
) -> Use | None:
    """Return the use of a parameter as argument ``place`` of a node; ``None`` without a closed form for this axis."""
    if path.leaf is None or (_kind(node), place) not in KNOWN:
        return None
    output, flat = node._input_metadata[0], _kind(node) in PRODUCTS
    if output.is_nested_tensor or output.dtype.is_complex or 0 in output.shape:
        return None
    sides = _viewed(node, parents) if flat else tuple(output.shape)
    if sides[axis : axis + 1] != (samples,):
        return None
    use = (name, GradientEdge(node, 0), sides, axis)
    factor = None
    match _kind(node), place:
        case ("AddmmBackward0", 2) | ("MmBackward0", 1):
            rows = _saved(node, "mat1" if place == 2 else "self")
            if rows is None or path.embedding is not None or (place == 2 and node._saved_alpha != 1):
                return None
            return MatrixUse(*use, rows, path.transposed % 2 == 1)
        case "AddmmBackward0", 0 if node._saved_beta != 1:
            return None
        case "AddBackward0", 1 if node._saved_alpha != 1:
            return None
        case "MulBackward0", _:
            factor = _saved(node, "self" if place else "other")
            if factor is None:
                return None
    used, looked_up = path.leaf.shape, None
    if path.embedding is not None:
        numbers = _saved(path.embedding, "indices")
        if numbers is None or path.embedding._saved_scale_grad_by_freq:
            return None
        used = path.embedding._input_metadata[0].shape
        looked_up = Rows(numbers, path.leaf.shape, _signed(path.embedding._saved_padding_idx))
    same_for_all = padded(used, len(output.shape))[0 if flat else axis] == 1
    return EntrywiseUse(*use, used, factor, flat, looked_up) if same_for_all and not path.transposed else None


def _signed(number: int) -> int:
    """Convert an unsigned 64-bit integer, as the graph stores it, to a signed one."""
    return number - 2**64 if number >= 2**63 else number


def _viewed(node: Any, parents: Mapping[Any, list[Any]]) -> tuple[int, ...]:
    """Return the shape into which the rows of a matrix product are viewed afterwards; ``(rows,)`` without a view."""
    rows = node._input_metadata[0].shape[0]
    if len(parents.get(node, [])) == 1 and _kind(parents[node][0]) in VIEWS:
        shape = tuple(parents[node][0]._input_metadata[0].shape)
        for end in range(2, len(shape)):
            if prod(shape[:end]) == rows:
                return shape[:end]
    return (rows,)


def _saved(node: Any, name: str) -> Tensor | None:
    """Return a tensor that a node has saved; ``None`` if it is packed (a checkpoint would have to compute it again).

    In-place changes after saving are not checked: the probe's reference gradients raise an error for them.
    """
    saved = getattr(getattr(node, f"_raw_saved_{name}"), "data", None)
    return saved.detach() if isinstance(saved, Tensor) else None


def of_sample(use: Use, gradient: Tensor, row: int) -> Tensor:
    """Return one sample's gradient of the parameter, in any shape, from the gradient at its use."""
    if isinstance(use, EntrywiseUse):
        return use.gradients(gradient, slice(row, row + 1))[0]
    left, right = (factor[row, 0] for factor in use.factors(gradient))
    return left @ right.mT


def bytes_per_sample(uses: Sequence[Use], gradients: Sequence[Tensor]) -> int:
    """Return the bytes per sample of the gradients at the uses, once for each parameter."""
    sizes = {use.name: gradient.nbytes // use.samples for use, gradient in zip(uses, gradients, strict=True)}
    return sum(sizes.values())
