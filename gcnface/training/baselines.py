"""Train the networks that the refiner is compared with: other layers, published totals, terms and parts left out.

All of them see the same faces in the same order for the same number of steps, a short training that shows what each
choice is worth, not what each could become.

    python -m gcnface.training.baselines --data runs/faces --heads runs/heads [--only image,dense]
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from gcnface.errors import GcnfaceError
from gcnface.io.atomic import staged
from gcnface.training.command import TrainingCLI
from gcnface.training.configuration import plain
from gcnface.training.module import usual_precision
from gcnface.training.refiner import CriticTraining, RefinerModule, RefinerSettings
from gcnface.training.refiner_data import RefinerData
from gcnface.training.refiner_objective import Objective
from refine.baselines import BASELINES, baseline_weights
from refine.discriminator import DiscriminatorConfig
from refine.flat_network import FlatConfig
from refine.image_network import ImageUNetConfig
from refine.losses import LossSchedule
from refine.network import TextureRefinerConfig, paper_config, released_config
from refine.unet import dense_unet_config

FACES = 700
"""Faces each network sees, two a step."""

BRIEF = RefinerSettings(critic=CriticTraining(network=DiscriminatorConfig(side=128)), drawn_every=3, average=0.98)
"""The shipped configuration, its average of the weights made for few steps."""


def _objective(**changes: Any) -> RefinerSettings:
    return replace(BRIEF, objective=replace(BRIEF.objective, **changes))


OURS = TextureRefinerConfig()
FINE_IMAGE = ImageUNetConfig(channels=(12, 16, 32, 48, 48, 52), side=512)
"""As many parameters as the graph's; at 256 px two vertices share a texel, which a comparison should not hinge on."""
SWIFT_FLAT = FlatConfig(channels=16, embedding_hidden=64)
"""As long a step as the graph's; as many parameters would take seven times as long."""
PUBLISHED = replace(BRIEF, drawn_every=1, learning_rate=1e-3)
SETTINGS = {
    "equal": BRIEF,
    "image": replace(BRIEF, network=replace(OURS, network="image", image=FINE_IMAGE)),
    "dense": replace(BRIEF, network=replace(OURS, completion=dense_unet_config())),
    "paper": replace(PUBLISHED, network=paper_config(), objective=Objective("paper", LossSchedule(ramp_end=1.0))),
    "released": replace(
        PUBLISHED,
        network=released_config(),
        objective=Objective("released", LossSchedule(ramp_end=0.1, vertex_floor=0.2), adversarial=0.0),
    ),
    "no_pixel": _objective(pixel=0.0),
    "no_identity": _objective(schedule=replace(BRIEF.objective.schedule, identity=0.0)),
    "no_vertex": _objective(vertex=0.0),
    "no_adversarial": _objective(adversarial=0.0),
    "no_embedding": replace(BRIEF, network=replace(OURS, conditioned=False)),
    "no_pyramid": replace(BRIEF, network=replace(OURS, network="flat", flat=SWIFT_FLAT)),
}
"""Settings of each of `refine.baselines.BASELINES`."""


def baseline_training(name: str, faces: Path, heads: Path | None, work: Path) -> dict[str, Any]:
    """The configuration of one baseline's training, by the keys of ``gcnface train refiner``.

    Args:
        name: one of `SETTINGS`.
        faces: prepared faces.
        heads: rendered heads of them; None learns without turned copies.
        work: folder of the runs and of what was observed, which they share.
    """
    data = {"faces": faces, "heads": heads, "observations": work / "observations"}
    return {
        "trainer": {"default_root_dir": str(work / name), "max_epochs": 1, "precision": usual_precision()},
        "model": plain(SETTINGS[name]),
        "data": {**data, "drawn_faces": 0, "copies": 1, "faces_an_epoch": FACES},
        "threads": 1,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="prepared faces (gcnface prepare)")
    parser.add_argument("--heads", type=Path, help="rendered heads of them (gcnface.building.rendered_heads)")
    parser.add_argument("--work", type=Path, default=Path("runs/baselines"), help="runs and what they share")
    parser.add_argument("--only", default=",".join(BASELINES), help="names, with commas between")
    parser.add_argument("-o", "--output", type=Path, default=baseline_weights("equal").parent)
    args = parser.parse_args()
    try:
        _train(args)
    except GcnfaceError as error:
        parser.exit(1, f"gcnface: {error}\n")


def _train(args: argparse.Namespace) -> None:
    for name in args.only.split(","):
        baseline_weights(name)  # an unknown name is told before any training
    for name in args.only.split(","):
        words = baseline_training(name, args.data, args.heads, args.work)
        weights = TrainingCLI.of(RefinerModule, RefinerData, words, "refiner", "a baseline").fit()
        assert weights is not None
        args.output.mkdir(parents=True, exist_ok=True)
        with staged(args.output) as folder:
            shutil.copyfile(weights, folder / f"{name}.safetensors")


if __name__ == "__main__":
    main()
