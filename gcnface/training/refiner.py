"""Training of the mesh refiner: vertex, pixel, identity and adversarial losses (Lin et al. 2020) in one module."""

from __future__ import annotations

import copy
import math
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from coarse.face_model import FaceModel, load_face_model
from coarse.morphable import MorphableModel, crop_camera
from coarse.records import CoarseFace
from gcnface.data.faces import PreparedFaces, load_prepared
from gcnface.data.heads import HeadRenders, load_heads
from gcnface.errors import FileError, GcnfaceError
from gcnface.training.configuration import check_positive
from gcnface.training.loading import checking_loader, training_loader
from gcnface.training.observations import Observer, load_observer, observe, photographs, rotated_copies
from gcnface.training.refiner_data import RefinerDataset, RefinerSample, RotatedCopies
from gcnface.training.refiner_objective import Objective, encoded, total
from gcnface.training.runs import RunSettings, TrainingModule, begin, train, write_weights
from refine.adversarial import PENALTY_FACTOR, critic_loss, generator_loss, gradient_penalty, paste
from refine.discriminator import Critic, DiscriminatorConfig
from refine.facenet import embed_crop224, load_facenet
from refine.losses import identity_loss, pixel_loss
from refine.network import TextureRefiner, TextureRefinerConfig
from refine.stored import load_refiner, save_refiner
from render.interpolate import interpolate
from render.rasterize import rasterize


@dataclass(frozen=True)
class CriticTraining:
    """How the critic learns."""

    network: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    """Layout of the critic; with a side below 224 it sees the pictures averaged down to that side."""
    learning_rate: float = 1e-4
    """Learning rate of the critic's Adam, whose first moment is off as in Gulrajani et al. 2017."""
    steps: int = 5
    """Steps of the critic for each step of the refiner that it judges, all on that step's pictures."""
    shared_epsilon: bool = False
    """Take one place between photo and drawn picture for a whole batch, as the released code does, not one a sample."""

    def __post_init__(self) -> None:
        check_positive(self, "learning_rate")
        if self.steps < 1 or self.network.side > 224:
            raise ValueError(
                f"a critic takes 1 or more steps, found {self.steps}, on sides up to 224 px, found {self.network.side}"
            )


@dataclass(frozen=True)
class RefinerTraining:
    """Configuration of `gcnface train refiner`."""

    data: Path = Path("runs/faces")
    """Folder of prepared faces (`gcnface prepare`)."""
    heads: Path | None = None
    """Rendered heads of the same faces (`python -m gcnface.building.rendered_heads`), for their turned copies."""
    run: RunSettings = field(default_factory=lambda: RunSettings(output=Path("runs/refiner"), precision="32-true"))
    """Where and how long to train."""
    observations: Path | None = None
    """Where to keep what was observed, to share it between runs on the same faces; None keeps it with the run."""
    network: TextureRefinerConfig = field(default_factory=TextureRefinerConfig)
    """The network that is trained."""
    start: Path | None = None
    """Weights to go on from, of the same configuration; None starts anew."""
    objective: Objective = field(default_factory=Objective)
    """The losses that the refiner is trained with, and their weights."""
    critic: CriticTraining = field(default_factory=CriticTraining)
    """The critic that judges the drawn pictures, and how it learns."""
    drawn_faces: int = 700
    """Drawn faces to learn from, beside all photographs; with `heads`, of those that have some."""
    copies: int = 0
    """Turned copies of each face; 0 takes all there are."""
    faces_an_epoch: int = 0
    """Faces, drawn at random, that make an epoch; 0 takes all."""
    batch_size: int = 2
    """Faces in a step."""
    learning_rate: float = 2e-3
    """Learning rate of the refiner's Adam; its peak where it follows a cycle."""
    rate: Literal["cycle", "decay"] = "cycle"
    """How the learning rate goes: "cycle" up for 30 % of the run, then down (Smith and Topin 2018); "decay" multiplies
    it by 0.98 an epoch, as published."""
    drawn_every: int = 2
    """Every how many steps the face is also drawn, for the losses that are measured on the picture."""
    average: float = 0.995
    """Share of the old in the moving average of the weights, which is what is validated and saved; 0 takes the last."""

    def __post_init__(self) -> None:
        check_positive(self, "learning_rate")
        if min(self.drawn_every, self.batch_size) < 1 or min(self.drawn_faces, self.copies, self.faces_an_epoch) < 0:
            raise ValueError(
                f"drawn_every {self.drawn_every} and batch_size {self.batch_size} must be 1 or more, drawn_faces "
                f"{self.drawn_faces}, copies {self.copies} and faces_an_epoch {self.faces_an_epoch} 0 or more"
            )
        if self.rate not in ("cycle", "decay") or not 0 <= self.average < 1:
            raise ValueError(f'rate is {self.rate!r}, "cycle" or "decay"; average is {self.average}, in 0..1')


class RefinerModule(TrainingModule):
    """Refiner and critic, their losses and optimisers, and the moving average of the refiner's weights.

    Optimisation is manual: two optimisers take turns, and everything random in a step follows from the run's seed and
    the step's number, so that a run resumed between epochs ends, on a CPU, with the bits of one without a break.
    """

    configured_by = RefinerTraining
    settings: RefinerTraining
    step: Tensor

    def __init__(self, settings: RefinerTraining) -> None:
        super().__init__(settings)
        self.automatic_optimization = False
        model = load_face_model()
        self.morphable = MorphableModel(model).requires_grad_(False)
        self.network = TextureRefiner.from_face_model(model, self.settings.network)
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        self.critic = None
        if self.settings.objective.adversarial:
            critic = Critic(self.settings.critic.network)
            self.critic = critic.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast
        self.facenet = load_facenet()
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def begin_with(self, network: TextureRefiner) -> None:
        """Take the weights of a network of the same configuration."""
        for mine in (self.network, self.averaged):
            mine.load_state_dict(network.state_dict())

    def training_step(self, batch: RefinerSample, index: int) -> dict[str, Tensor]:
        """One step of the refiner, before it those of the critic; the loss, for the check that it is finite."""
        optimizers = self.optimizers()
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        progress = int(self.step) / max(self._length(), 1)
        for group in optimizers[0].param_groups:
            group["lr"] = self.settings.learning_rate * self._rate(progress)
        face = self._face(batch)
        albedo = self.network(face.albedo, batch.projected, batch.shown, batch.embedding)
        terms = self.terms(albedo, face, batch, progress, optimizers[1] if self.critic is not None else None)
        loss = total(terms)
        self._descend(optimizers[0], loss, self.network)
        self._update_average()
        self.step += 1
        self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()})
        self.log("train/loss", loss.detach(), prog_bar=True)
        return {"loss": loss.detach()}

    def terms(
        self, albedo: Tensor, face: CoarseFace, batch: RefinerSample, progress: float, critic_optimizer: Any = None
    ) -> dict[str, Tensor]:
        """All terms of one step, with their factors; the critic learns first where it has a part.

        Args:
            albedo: (B, V, 3) refined, linear.
            face: coarse, of the batch.
            batch: the samples.
            progress: part of the training that is over, 0..1.
            critic_optimizer: None leaves the critic as it is.
        """
        objective = self.settings.objective
        at = objective.schedule.at(progress)
        terms = objective.vertex_terms(albedo, face, batch, self.network.mirror, at)
        if terms and (not objective.drawn or int(self.step) % self.settings.drawn_every):
            return terms
        drawn, covered = self._drawn(albedo, face)
        pasted = paste(drawn, batch.image, covered)
        if objective.pixel and objective.kind != "released":
            terms["pixel"] = at.drawn * objective.pixel * pixel_loss(drawn, batch.image, covered * batch.mask)
        if at.identity:
            identity = identity_loss(embed_crop224(self.facenet, pasted).float(), batch.embedding)
            terms["identity"] = at.drawn * at.identity * identity
        if self.critic is not None:
            photo, fake = self._reduced(batch.image), self._reduced(pasted)
            if critic_optimizer is not None:
                self._teach_critic(critic_optimizer, photo, fake.detach())
            terms["adversarial"] = at.drawn * objective.adversarial * generator_loss(self.critic(fake))
        return terms

    def validation_step(self, batch: RefinerSample, index: int) -> None:
        """Errors of the averaged network on what was hidden and on what was shown, and the drawn picture's PSNR."""
        face = self._face(batch)
        albedo = self.averaged(face.albedo, batch.projected, batch.shown, batch.embedding)
        objective = Objective()
        terms = objective.vertex_terms(albedo, face, batch, self.network.mirror, objective.schedule.at(1.0))
        drawn, covered = self._drawn(albedo, face)
        mask = (covered * batch.mask)[:, None]
        squared = ((drawn - batch.image).square() * mask).sum((1, 2, 3)) / (3 * mask.sum((1, 2, 3))).clamp(min=1)
        figures = {**terms, "psnr": (-10 * squared.clamp(min=1e-12).log10()).mean()}
        self.log_dict({f"valid/{n}": v for n, v in figures.items()}, prog_bar=True, batch_size=len(albedo))

    def configure_optimizers(self) -> Any:
        """Adam for the refiner and, where there is one, for the critic."""
        optimizers = [torch.optim.Adam(self.network.parameters(), self.settings.learning_rate)]
        if self.critic is not None:
            rate = self.settings.critic.learning_rate
            optimizers.append(torch.optim.Adam(self.critic.parameters(), rate, betas=(0.0, 0.9)))
        return optimizers

    def pictures(self, batch: RefinerSample) -> Tensor:
        """(B, 3, 224, 448): each picture beside itself with the refined face drawn over it."""
        face = self._face(batch)
        albedo = self.averaged(face.albedo, batch.projected, batch.shown, batch.embedding)
        drawn, covered = self._drawn(albedo, face)
        return torch.cat([batch.image, paste(drawn, batch.image, covered)], 3)

    @torch.no_grad()
    def _face(self, batch: RefinerSample) -> CoarseFace:
        with _full_precision(batch.raw):
            return replace(self.morphable(self.morphable.layout.decode(batch.raw)), shading=batch.shading)

    def _drawn(self, albedo: Tensor, face: CoarseFace) -> tuple[Tensor, Tensor]:
        """The lit face (B, 3, 224, 224) in sRGB, and where it is (B, 224, 224) in 0, 1."""
        with _full_precision(albedo):
            fragments = rasterize(face.verts_cam, self.morphable.faces, crop_camera(len(albedo)))
            lit = encoded(albedo * face.shading)
            drawn = interpolate(lit, self.morphable.faces, fragments).permute(0, 3, 1, 2)
        return drawn, fragments.mask.to(drawn)

    def _reduced(self, picture: Tensor) -> Tensor:
        side = self.settings.critic.network.side
        small = picture if side == picture.shape[2] else nn.functional.interpolate(picture, (side, side), mode="area")
        return small.contiguous(memory_format=torch.channels_last)

    def _teach_critic(self, optimizer: Any, photo: Tensor, fake: Tensor) -> None:
        """The critic's steps on one batch of pictures, each with places of its own between photo and drawn picture."""
        assert self.critic is not None
        s = self.settings.critic
        random = torch.Generator().manual_seed((self.settings.run.seed << 32) + int(self.step))
        for _ in range(s.steps):
            distance = critic_loss(*self.critic(torch.cat([photo, fake])).chunk(2))
            penalty = gradient_penalty(self.critic, photo, fake, generator=random, shared_epsilon=s.shared_epsilon)
            self._descend(optimizer, distance + PENALTY_FACTOR * penalty, self.critic)
        self.log_dict({"train/critic": distance.detach(), "train/penalty": penalty.detach()})

    def _descend(self, optimizer: Any, loss: Tensor, network: nn.Module) -> None:
        optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        if self.settings.run.gradient_clip:
            nn.utils.clip_grad_norm_(network.parameters(), self.settings.run.gradient_clip)
        optimizer.step()

    @torch.no_grad()
    def _update_average(self) -> None:
        """Early on the average forgets faster, so that it does not remember the untrained network."""
        step = int(self.step)
        old = min(self.settings.average, (1 + step) / (10 + step)) if self.settings.average else 0.0
        for mean, value in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(value, 1 - old)

    def _length(self) -> int:
        """Steps of the whole run."""
        return int(self.trainer.num_training_batches) * int(self.trainer.max_epochs or 1)

    def _rate(self, progress: float) -> float:
        """Factor of the learning rate."""
        if self.settings.rate == "decay":
            return 0.98**self.current_epoch
        warm_up = 0.3
        if progress < warm_up:
            low, part = 0.04, progress / warm_up
            return low + (1 - low) * 0.5 * (1 - math.cos(math.pi * part))
        return max(0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up))), 1e-4)


def _full_precision(like: Tensor) -> AbstractContextManager[None]:
    """Geometry in half precision would be off by whole pixels."""
    return torch.autocast(like.device.type, enabled=False)


def train_refiner(settings: RefinerTraining) -> Path:
    """Train and write the weights; returns their path."""
    begin(settings.run)
    faces = load_prepared(settings.data)
    model = load_face_model()
    module = RefinerModule(settings)
    if settings.start is not None:
        module.begin_with(_started(settings.start, settings.network, model))
    learn, check = _datasets(settings, faces, load_observer(model))
    seed, stack = settings.run.seed, RefinerSample.stack
    learning = training_loader(
        learn, settings.batch_size, seed, settings.data, collate=stack, limit=settings.faces_an_epoch
    )
    train(module, learning, checking_loader(check, 2, collate=stack))
    path = settings.run.output / "refiner.safetensors"
    return write_weights(module.averaged, path, lambda part: save_refiner(module.averaged, part))


def _started(start: Path, config: TextureRefinerConfig, model: FaceModel) -> TextureRefiner:
    network = load_refiner(model, start)
    if network.config != config:
        raise GcnfaceError(f"{start}: these weights are of another configuration than the training's network")
    return network


def _datasets(
    settings: RefinerTraining, faces: PreparedFaces, observer: Observer
) -> tuple[RefinerDataset, RefinerDataset]:
    """What to learn from and, of held-out people, what to check with."""
    folder, model = settings.observations or settings.run.output / "observations", observer.stage.model
    heads = load_heads(settings.heads, faces) if settings.heads is not None else None
    usable = np.arange(len(faces)) if heads is None else np.unique(heads.person)
    drawn = usable[faces.drawn[usable]][: settings.drawn_faces]
    rows = np.sort(np.concatenate([usable[~faces.drawn[usable]], drawn]))
    if not (~faces.validation[rows]).any():
        raise FileError(settings.data, "holds nobody to learn from", "prepare photos of more people, or drawn faces")
    seen = observe(photographs(faces, rows), observer, folder / "photographs")
    copies = None
    if heads is not None:
        views = _chosen_views(heads, rows, settings.copies)
        rotated = observe(rotated_copies(heads, views), observer, folder / "turned")
        copies = RotatedCopies(rotated, np.searchsorted(rows, heads.person[views]))
    held_out = faces.validation[rows]
    learn = RefinerDataset(seen, ~held_out, model, copies)
    return learn, RefinerDataset(seen, held_out & ~faces.drawn[rows], model, fixed=True)


def _chosen_views(heads: HeadRenders, rows: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """The photographic views of some faces, at most so many of each; 0 for all."""
    views = np.nonzero(heads.photographic & np.isin(heads.person, rows))[0]
    order = np.zeros(len(views), np.int64)
    for person in np.unique(heads.person[views]):
        mine = heads.person[views] == person
        order[mine] = np.arange(mine.sum())
    return views[order < limit] if limit else views
