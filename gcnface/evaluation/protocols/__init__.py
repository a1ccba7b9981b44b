"""Protocols with a known truth: each draws a face anew, reconstructs the drawing and judges every method's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

if TYPE_CHECKING:
    from gcnface.evaluation.methods import Method
    from gcnface.evaluation.records import Measured
    from gcnface.pipeline import Reconstructor


class Protocol(Interface):
    """What a row of `registries.PROTOCOLS` names."""

    def __call__(self, reconstructor: Reconstructor, methods: Mapping[str, Method], subject: Any) -> Sequence[Measured]:
        """Measure every method on one subject.

        Args:
            reconstructor: holds the networks.
            methods: by name.
            subject: as the row says: of "photo" protocols an `EvaluatedPhoto`, of "scan" protocols a `Scan`.

        Returns:
            Values of the methods and of the subject itself (`PHOTO_ITSELF`); none where the protocol has no use for
            the subject, which then does not count among those asked for.
        """
        ...
