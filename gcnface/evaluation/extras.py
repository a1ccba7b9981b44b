"""Protocols that are run when they are asked for: each draws the face of a photo anew and reconstructs that."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gcnface.evaluation.methods import Method
from gcnface.evaluation.photos import PHOTO_ITSELF, Measured
from gcnface.evaluation.records import FittedPhoto
from gcnface.pipeline import Reconstructor

Extra = Callable[[Reconstructor, FittedPhoto, Mapping[str, Method]], list[Measured]]


def completion(reconstructor: Reconstructor, seen: FittedPhoto, methods: Mapping[str, Method]) -> list[Measured]:
    """The side of the face that a turned picture does not show; nothing for photos whose head is turned itself."""
    from gcnface.evaluation import completion as protocol
    from gcnface.evaluation.photos import head_yaw_deg

    if abs(head_yaw_deg(seen)) > protocol.FRONTAL_DEG:
        return []
    views = protocol.held_out_views(reconstructor, seen)
    figures = protocol.completion_figures(reconstructor.model, views, methods)
    found = [Measured(PHOTO_ITSELF, name, share) for name, share in protocol.found_shares(views).items()]
    return found + [Measured(method, n, value) for method, values in figures.items() for n, value in values.items()]


def relit(reconstructor: Reconstructor, seen: FittedPhoto, methods: Mapping[str, Method]) -> list[Measured]:
    """One face under several lamps must give one albedo."""
    from gcnface.evaluation.relit import measure_relit

    found = measure_relit(reconstructor, seen, methods)
    return [Measured(method, n, value) for method, values in found.items() for n, value in values.items()]


EXTRAS: dict[str, Extra] = {"completion": completion, "relit": relit}
"""By the name that ``--with`` takes."""
