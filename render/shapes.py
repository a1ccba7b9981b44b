"""One helper that checks shapes at public edges and says what was wrong."""

from __future__ import annotations

from typing import Any


class ShapeError(ValueError):
    """An argument has another shape than its documentation says."""


def check_shape(name: str, tensor: Any, spec: str, **fixed: int) -> dict[str, int]:
    """Hold `tensor` to the dimensions of `spec` and bind its letters.

    Args:
        name: the argument's name, for the message.
        tensor: anything with a `shape`.
        spec: dimensions separated by blanks: a number is held exactly, a letter binds (the same letter twice must
            agree), a leading `...` allows any dimensions before, e.g. "B V 3" or "... 3".
        fixed: letters that are bound already, e.g. `V=100`.

    Returns:
        every letter with its size, `fixed` included.

    Raises:
        ShapeError: number of dimensions or a size does not agree.
    """
    shape = getattr(tensor, "shape", None)
    if shape is None:
        raise ShapeError(f"{name} is a {type(tensor).__name__}; expected an array or tensor of shape ({spec})")
    words, sizes, bound = spec.split(), list(shape), dict(fixed)
    if words and words[0] == "...":
        words = words[1:]
        sizes = sizes[max(len(sizes) - len(words), 0) :]
    agrees = len(words) == len(sizes)
    for word, size in zip(words, sizes, strict=False):
        agrees = agrees and size == (int(word) if word.isdigit() else bound.setdefault(word, size))
    if agrees:
        return bound
    known = ", ".join(f"{letter}={size}" for letter, size in bound.items() if letter in fixed)
    where = f" with {known}" if known else ""
    raise ShapeError(f"{name} has shape {tuple(shape)}; expected ({', '.join(spec.split())}){where}")
