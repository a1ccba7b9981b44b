"""Training of the mesh refiner over photographs: pixel, identity and vertex losses (Lin et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gcnface.compat import ensure_torchvision

ensure_torchvision()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

from coarse.face_model import load_face_model  # noqa: E402
from coarse.morphable import crop_camera, layout_of  # noqa: E402
from coarse.records import CoarseFace  # noqa: E402
from coarse.regressor import load_regressor  # noqa: E402
from gcnface.coarse_stage import CoarseStage  # noqa: E402
from gcnface.observation import MINIMUM_SHADING  # noqa: E402
from gcnface.parsing import load_parser  # noqa: E402
from gcnface.training.faces import load_prepared  # noqa: E402
from gcnface.training.observations import (  # noqa: E402
    ObservationDataset,
    Observer,
    RefinerSample,
    prepare_observations,
)
from gcnface.training.runs import RunSettings, TrainingModule, one_cycle, save_weights, train  # noqa: E402
from refine.facenet import embed_crop224, load_facenet  # noqa: E402
from refine.losses import identity_loss, pixel_loss, vertex_loss  # noqa: E402
from refine.network import TextureRefiner  # noqa: E402
from render.color import srgb_from_linear  # noqa: E402
from render.interpolate import interpolate  # noqa: E402
from render.rasterize import rasterize  # noqa: E402


@dataclass(frozen=True)
class RefinerTraining:
    """Configuration of `gcnface train refiner`."""

    data: Path = Path("runs/faces")
    """Prepared faces (`gcnface prepare`)."""
    run: RunSettings = field(default_factory=lambda: RunSettings(output=Path("runs/refiner"), precision="32-true"))
    """Where and how long to train."""
    drawn_faces: int = 1000
    """Drawn faces to learn from, beside all photographs."""
    batch_size: int = 2
    """Faces a step."""
    learning_rate: float = 2e-3
    """Peak of the one-cycle schedule."""
    drawn_every: int = 4
    """Steps between those that also draw the face, for the pixel and the identity loss."""
    vertex: float = 1.0
    """Lit vertex colours towards the photo's, where the photo shows them."""
    hidden: float = 2.0
    """The same for vertices that were hidden from the network on purpose: what teaches it to fill."""
    coarse: float = 0.05
    """Albedo of unseen vertices towards the coarse albedo."""
    pixel: float = 1.0
    """Drawn picture towards the photo, inside the mask."""
    identity: float = 0.2
    """1 - cosine of FaceNet embeddings; the paper's s2."""

    def __post_init__(self) -> None:
        if self.drawn_every < 1:
            raise ValueError(f"drawn_every is {self.drawn_every}; it must be 1 or more")


class RefinerModule(TrainingModule):
    """The refiner, its losses and its optimiser."""

    def __init__(self, settings: RefinerTraining, stage: CoarseStage) -> None:
        super().__init__()
        self.settings = settings
        self.morphable = stage.morphable
        self.network = TextureRefiner.from_face_model(stage.model)
        self.facenet = load_facenet()

    def training_step(self, batch: RefinerSample, index: int) -> Tensor:
        """One step."""
        with torch.no_grad():
            face = self.morphable(self.morphable.layout.decode(batch.raw))
        albedo = self.network(face.albedo, batch.projected, batch.shown, batch.embedding)
        terms = self._vertex_terms(albedo, face, batch)
        if index % self.settings.drawn_every == 0:
            terms |= self._drawn_terms(albedo, face, batch)
        self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()})
        total = torch.stack(list(terms.values())).sum()
        self.log("train/loss", total.detach(), prog_bar=True)
        return total

    def validation_step(self, batch: RefinerSample, index: int) -> None:
        """Error on what was hidden and on what was shown, sRGB."""
        face = self.morphable(self.morphable.layout.decode(batch.raw))
        albedo = self.network(face.albedo, batch.projected, batch.shown, batch.embedding)
        terms = self._vertex_terms(albedo, face, batch)
        self.log_dict({f"valid/{name}": value for name, value in terms.items()}, prog_bar=True, batch_size=len(albedo))

    def configure_optimizers(self) -> Any:
        """Adam with one cycle over all steps."""
        optimiser = torch.optim.Adam(self.network.parameters(), self.settings.learning_rate)
        return one_cycle(self, optimiser)

    def _vertex_terms(self, albedo: Tensor, face: CoarseFace, batch: RefinerSample) -> dict[str, Tensor]:
        s = self.settings
        shading = face.shading.clamp(min=MINIMUM_SHADING)
        refined, photo = _encoded(albedo * shading), _encoded(batch.projected * shading)
        shown, hidden = batch.shown, batch.confidence - batch.shown
        unseen = 1 - batch.confidence
        return {
            "vertex": s.vertex * vertex_loss(refined, photo, shown),
            "hidden": s.hidden * vertex_loss(refined, photo, hidden),
            "coarse": s.coarse * vertex_loss(_encoded(albedo), _encoded(face.albedo), unseen),
        }

    def pictures(self, batch: RefinerSample) -> Tensor:
        """(B, 3, 224, 448): each photo beside itself with the refined face drawn over it."""
        face = self.morphable(self.morphable.layout.decode(batch.raw))
        albedo = self.network(face.albedo, batch.projected, batch.shown, batch.embedding)
        drawn, covered = self._drawn(albedo, face)
        return torch.cat([batch.image, torch.where(covered, drawn, batch.image)], 3)

    def _drawn(self, albedo: Tensor, face: CoarseFace) -> tuple[Tensor, Tensor]:
        """The lit face (B, 3, 224, 224) in sRGB, and where it is (B, 1, 224, 224) bool."""
        camera = crop_camera(len(albedo))
        fragments = rasterize(camera.project(face.verts_cam), self.morphable.faces, camera.hw)
        lit = _encoded(albedo * face.shading.clamp(min=MINIMUM_SHADING))
        drawn = interpolate(lit, self.morphable.faces, fragments).permute(0, 3, 1, 2)
        return drawn, fragments.mask[:, None]

    def _drawn_terms(self, albedo: Tensor, face: CoarseFace, batch: RefinerSample) -> dict[str, Tensor]:
        drawn, covered = self._drawn(albedo, face)
        pasted = torch.where(covered, drawn, batch.image)
        with torch.no_grad():
            target = embed_crop224(self.facenet, batch.image)
        return {
            "pixel": self.settings.pixel * pixel_loss(drawn, batch.image, (covered[:, 0] * batch.mask)),
            "identity": self.settings.identity * identity_loss(embed_crop224(self.facenet, pasted), target),
        }


def _encoded(linear: Tensor) -> Tensor:
    """Linear colours as the eye compares them: clipped and sRGB encoded."""
    return srgb_from_linear(linear.clamp(0, 1))


def train_refiner(settings: RefinerTraining) -> Path:
    """Train and write the weights; returns their path."""
    torch.set_num_threads(settings.run.threads)
    faces = load_prepared(settings.data)
    drawn = np.nonzero(faces.drawn & ~faces.validation)[0][: settings.drawn_faces]
    rows = np.concatenate([np.nonzero(~faces.drawn)[0], drawn])
    model = load_face_model()
    stage = CoarseStage(model, load_regressor(layout_of(model)), None)
    observer = Observer(stage, load_parser(), load_facenet())
    arrays = prepare_observations(faces, rows, observer, settings.run.output / "observations")
    held_out = faces.validation[rows]
    learn, check = (ObservationDataset(faces, rows, arrays, part, model) for part in (~held_out, held_out))
    module = RefinerModule(settings, stage)
    loaders = [
        DataLoader(
            part, settings.batch_size, shuffle=part is learn, collate_fn=RefinerSample.stack, drop_last=part is learn
        )
        for part in (learn, check)
    ]
    train(module, loaders[0], loaders[1], settings.run, settings)
    return save_weights(module.network, settings.run.output / "refiner.safetensors")
