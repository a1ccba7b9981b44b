"""The networks that ours is compared with: their names, what each is, and where their weights lie."""

from __future__ import annotations

from pathlib import Path

BASELINES: dict[str, str] = {
    "image": "a convolutional network on the UV map in place of the graph, as many parameters",
    "dense": "fully connected layers, each vertex by itself, in place of the graph's, as many parameters",
    "paper": "the text of Lin et al. 2020",
    "released": "the authors' code where it differs from the text",
    "equal": "the shipped configuration trained as briefly as the others here",
    "no_pixel": "equal without the pixel loss",
    "no_identity": "equal without the identity loss",
    "no_vertex": "equal without the vertex losses",
    "no_adversarial": "equal without the adversarial loss",
    "no_embedding": "equal without the FaceNet embedding",
    "no_pyramid": "equal with graph layers on the finest level alone, as long a step, a tenth of the parameters",
}
"""Networks to compare with, by name: all trained alike; what each is."""


def baseline_weights(name: str) -> Path:
    """Where the weights of one of `BASELINES` lie.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in BASELINES:
        raise ValueError(f"{name!r} is no baseline; choose one of {', '.join(BASELINES)}")
    return Path(__file__).parent / "assets" / "baselines" / f"{name}.safetensors"
