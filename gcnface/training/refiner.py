"""Training of the mesh refiner: vertex, pixel, identity and adversarial losses (Lin et al. 2020) in one module."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from coarse.face_model import load_face_model
from coarse.morphable import MorphableModel, crop_camera
from coarse.records import CoarseFace
from gcnface.errors import GcnfaceError
from gcnface.training.callbacks import WarmAverage
from gcnface.training.configuration import check_choices, check_least, check_positive
from gcnface.training.module import Fixed, TrainingModule
from gcnface.training.refiner_data import RefinerSample
from gcnface.training.refiner_objective import DrawnFace, Objective, critic_terms, encoded
from refine.adversarial import paste
from refine.discriminator import Critic, DiscriminatorConfig
from refine.facenet import embed_crop224, load_facenet
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


@dataclass(frozen=True, kw_only=True)
class RefinerSettings:
    """What `RefinerModule` takes."""

    network: TextureRefinerConfig = field(default_factory=TextureRefinerConfig)
    """The network that is trained."""
    start: Path | None = None
    """Weights to go on from, of the same configuration; None starts anew."""
    objective: Objective = field(default_factory=Objective)
    """The losses that the refiner is trained with, and their weights."""
    critic: CriticTraining = field(default_factory=CriticTraining)
    """The critic that judges the drawn pictures, and how it learns."""
    learning_rate: float = 2e-3
    """Learning rate of the refiner's Adam; its peak where it follows a cycle."""
    rate: Literal["cycle", "decay"] = "cycle"
    """How the learning rate goes: "cycle" up for 30 % of the run, then down (Smith and Topin 2018); "decay" multiplies
    it by 0.98 an epoch, as published."""
    gradient_clip_val: float = 1.0
    """Norm to which the gradients of refiner and critic are clipped, each for itself; 0 does not clip them. The
    Trainer's own clips automatic optimization alone."""
    drawn_every: int = 2
    """Every how many steps the face is also drawn, for the losses that are measured on the picture."""
    average: float = 0.995
    """Share of the old in the moving average of the weights, which is what is validated and saved; 0 takes the last."""

    def __post_init__(self) -> None:
        check_positive(self, "learning_rate")
        check_least(self, drawn_every=1, gradient_clip_val=0)
        check_choices(self)
        if not 0 <= self.average < 1:
            raise ValueError(f"average is {self.average}; it must lie in 0..1")


class RefinerModule(TrainingModule):
    """Refiner and critic, their losses and optimisers; the weights are averaged by `WarmAverage`.

    Optimisation is manual: two optimisers take turns. Only steps of the refiner count as steps of the run.
    """

    settings: RefinerSettings
    stem = "refiner"
    trainer_defaults = {"precision": "32-true", "gradient_clip_val": None}

    def __init__(self, **settings: Any) -> None:
        super().__init__(RefinerSettings(**settings))
        self.automatic_optimization = False
        model = load_face_model()
        self.morphable = Fixed(MorphableModel(model))
        self.network = TextureRefiner.from_face_model(model, self.settings.network)
        self.critic = None
        if self.settings.objective.adversarial:
            critic = Critic(self.settings.critic.network)
            self.critic = critic.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast
        self.facenet = Fixed(load_facenet())

    def started(self) -> TextureRefiner | None:
        """The refiner to go on from.

        Raises:
            GcnfaceError: it is of another configuration than the network.
        """
        start = self.settings.start
        network = None if start is None else load_refiner(load_face_model(), start)
        if network is not None and network.config != self.settings.network:
            raise GcnfaceError(f"{start}: these weights are of another configuration than the training's network")
        return network

    def configure_callbacks(self) -> Sequence[Callback]:
        """The average of the weights as well."""
        average = [WarmAverage(self.settings.average)] if self.settings.average else []
        return [*super().configure_callbacks(), *average]

    def training_step(self, batch: RefinerSample, index: int) -> dict[str, Tensor]:
        """One step of the refiner, before it those of the critic; the loss, for the check that it is finite."""
        optimizers = self.optimizers()
        refiner, *critic = optimizers if isinstance(optimizers, list) else [optimizers]
        face, albedo = self.refined(batch)
        terms = self.terms(albedo, face, batch, self.global_step / self.planned_steps(), *critic)
        loss = self.log_total(terms)
        self._descend(refiner, loss, self.network)
        if self.settings.rate == "cycle":
            self.lr_schedulers().step()  # type: ignore[union-attr]
        return {"loss": loss.detach()}

    def on_train_epoch_end(self) -> None:
        """The published rate falls once an epoch."""
        if self.settings.rate == "decay":
            self.lr_schedulers().step()  # type: ignore[union-attr]

    def refined(self, batch: RefinerSample) -> tuple[CoarseFace, Tensor]:
        """The coarse faces of a batch, and their refined albedo (B, V, 3), linear."""
        morphable = self.morphable.network
        with torch.no_grad(), _full_precision(batch.raw):
            coefficients = replace(morphable.layout.decode(batch.raw), skin_tone=batch.skin_tone)
            face = replace(morphable(coefficients), shading=batch.shading)
        return face, self.network(face.albedo, batch.projected, batch.shown, batch.embedding)

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
        if terms and (not objective.drawn or self.global_step % self.settings.drawn_every):
            return terms
        picture = self._drawn(albedo, face, batch)
        if self.critic is not None and critic_optimizer is not None:
            self._teach_critic(critic_optimizer, self._reduced(batch.image), self._reduced(picture.pasted.detach()))
        return terms | objective.picture_terms(
            picture, batch, at, partial(embed_crop224, self.facenet.network), self._score if self.critic else None
        )

    def validation_step(self, batch: RefinerSample, index: int) -> None:
        """Errors on what was hidden and on what was shown, by the default objective, and the drawn picture's PSNR."""
        face, albedo = self.refined(batch)
        objective = Objective()  # whatever the run's is, so that runs can be compared
        terms = objective.vertex_terms(albedo, face, batch, self.network.mirror, objective.schedule.at(1.0))
        picture = self._drawn(albedo, face, batch)
        mask = (picture.covered * batch.mask)[:, None]
        error = ((picture.image - batch.image).square() * mask).sum((1, 2, 3))
        squared = error / (3 * mask.sum((1, 2, 3))).clamp(min=1)
        figures = {f"{objective.kind}_{name}": value for name, value in terms.items()}
        figures["psnr"] = (-10 * squared.clamp(min=1e-12).log10()).mean()
        self.log_dict({f"valid/{n}": v for n, v in figures.items()}, prog_bar=True, batch_size=len(albedo))

    def configure_optimizers(self) -> Any:
        """Adam for the refiner with the schedule of its rate and, where there is one, Adam for the critic."""
        adam = torch.optim.Adam(self.network.parameters(), self.settings.learning_rate)
        if self.settings.rate == "cycle":
            refiner = self.one_cycle(adam, cycle_momentum=False, final_div_factor=400)
        else:
            refiner = {"optimizer": adam, "lr_scheduler": torch.optim.lr_scheduler.ExponentialLR(adam, 0.98)}
        if self.critic is None:
            return refiner
        rate = self.settings.critic.learning_rate
        return [refiner, {"optimizer": torch.optim.Adam(self.critic.parameters(), rate, betas=(0.0, 0.9))}]

    def pictures(self, batch: RefinerSample) -> Tensor:
        """(B, 3, 224, 448): each picture beside itself with the refined face drawn over it."""
        face, albedo = self.refined(batch)
        return torch.cat([batch.image, self._drawn(albedo, face, batch).pasted], 3)

    def write(self, path: Path) -> None:
        """Write the network with its configuration."""
        save_refiner(self.network, path)

    def _drawn(self, albedo: Tensor, face: CoarseFace, batch: RefinerSample) -> DrawnFace:
        """The lit face."""
        faces = self.morphable.network.faces
        with _full_precision(albedo):
            fragments = rasterize(face.verts_cam, faces, crop_camera(len(albedo)))
            image = interpolate(encoded(albedo * face.shading), faces, fragments).permute(0, 3, 1, 2)
        covered = fragments.mask.to(image)
        return DrawnFace(image, covered, paste(image, batch.image, covered))

    def _reduced(self, picture: Tensor) -> Tensor:
        side = self.settings.critic.network.side
        small = picture if side == picture.shape[2] else nn.functional.interpolate(picture, (side, side), mode="area")
        return small.contiguous(memory_format=torch.channels_last)

    def _score(self, picture: Tensor) -> Tensor:
        assert self.critic is not None
        return self.critic(self._reduced(picture))

    def _teach_critic(self, optimizer: Any, photo: Tensor, fake: Tensor) -> None:
        """The critic's steps on one batch of pictures, each with places of its own between photo and drawn picture."""
        assert self.critic is not None
        optimizer._on_before_step = optimizer._on_after_step = _uncounted  # where Lightning counts steps of the run
        for _ in range(self.settings.critic.steps):
            terms = critic_terms(self.critic, photo, fake, shared_epsilon=self.settings.critic.shared_epsilon)
            self._descend(optimizer, terms["critic"] + terms["penalty"], self.critic)
        self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()})

    def _descend(self, optimizer: Any, loss: Tensor, network: nn.Module) -> None:
        optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        if self.settings.gradient_clip_val:
            nn.utils.clip_grad_norm_(network.parameters(), self.settings.gradient_clip_val)
        optimizer.step()


def _uncounted() -> None:
    """A step of the critic is none of the run: max_steps, logs and schedules go by those of the refiner."""


def _full_precision(like: Tensor) -> AbstractContextManager[None]:
    """Geometry in half precision would be off by whole pixels."""
    return torch.autocast(like.device.type, enabled=False)
