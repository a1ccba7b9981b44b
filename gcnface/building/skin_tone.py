"""Learn to tell a skin's tone by the face embedding: a ridge regression over the photographs of a prepared folder.

Photos differ by skin and by light. What a photo's skin looks like, its shading divided out but its light's level left
in, is regressed on FaceNet's embedding, which hardly knows the light; so lights average out (`coarse.skin_tone`).

    python -m gcnface.building.skin_tone --data runs/faces --studio london -o coarse/assets/skin_tone.safetensors
"""

from __future__ import annotations

import argparse
import copy
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from coarse.face_model import load_face_model
from coarse.morphable import DARKEST_ALBEDO, crop_camera, layout_of
from coarse.regressor import load_regressor
from coarse.skin_tone import SkinToneRegressor, fit_skin_tone
from coarse.weights import half_state
from gcnface.data.faces import PreparedFaces, load_prepared
from gcnface.io.atomic import staged
from gcnface.photo.parsing import FaceParser, load_parser
from gcnface.stages.coarse import CoarseStage
from gcnface.stages.observation import class_maps, observe_vertices
from refine.facenet import FaceNet, embed_crop224, load_facenet
from render.lighting import MINIMUM_SHADING

_log = logging.getLogger(__name__)

STUDIO_WEIGHT = 3.0
"""Of photographs that were all taken under one lamp: there all that differs is skin."""
DRAWN_WEIGHT = 0.3
"""Of drawn faces, whose colours a network made up."""
_LEAST_SKIN = 200.0
"""Vertices that must show skin for a photo to count."""

SKIN_PATH = (0.95, 1.0, 1.05)
"""Logarithms of red, green and blue go together in these shares from light skin to dark."""
TONE_SPREAD = (0.65, 0.12)
"""Deviation of a tone's error along that path, and of each channel beside it, natural logarithms. The embedding is off
by 0.22 for strangers under one lamp (left out in turn, correlation 0.8) and by 0.27 for strangers of other portraits;
wider, since the darkest and the lightest of all skins are hardly among these people."""
LIGHT_SPREAD = (0.6, 0.1)
"""The same of the usual light's level over all channels, and of each channel's: what portraits show of light skin
varies by 0.35, pictures of cameras that meter whole scenes by more: the skin's brightness in them is far from the usual
where it is dark."""
WHITE_SPREAD = (0.14, 0.08)
"""The same of the light that eye whites tell: 0.16 over drawn heads under eight lamps, 0.25 where they are held against
the skin of the whole face; more over portraits in which eyes are narrowed, which the trust in them counts."""
WHITE = (-1.1, -1.21, -1.21)
"""Logarithm of the colour of eye whites under the neutral light, between lids and beside the skin about them: that by
which drawn heads of known skin come out neither too dark nor too light."""


@dataclass(frozen=True)
class SkinSamples:
    """What the photographs show.

    Attributes:
        tones: (N, 3) logarithm of the skin's colour, NaN where too little of it is seen.
        embeddings: (N, 512).
    """

    tones: Tensor
    embeddings: Tensor


@torch.no_grad()
def sample_skin(stage: CoarseStage, parser: FaceParser, facenet: FaceNet, crop: Tensor) -> tuple[Tensor, Tensor]:
    """(3,) tone and (512,) embedding of one crop (1, 3, 224, 224)."""
    classes = parser.parse(crop)
    face = stage(crop, classes)
    seen = observe_vertices(stage.model, face, crop, class_maps(classes), crop_camera())
    level = face.coefficients.lighting[:, :1].clamp(min=DARKEST_ALBEDO)
    relief = face.shading.clamp(min=MINIMUM_SHADING) / level
    total = seen.skin.sum()
    logs = (seen.linear / relief).clamp(min=DARKEST_ALBEDO).log()
    tone = (logs * seen.skin[..., None]).sum(1)[0] / total.clamp(min=1)
    embedding = embed_crop224(facenet, crop)[0]
    return (tone if total >= _LEAST_SKIN else torch.full_like(tone, torch.nan)), embedding


def with_spreads(regressor: SkinToneRegressor) -> SkinToneRegressor:
    """The same regression, told how far it and other tellers of the light may be believed."""
    told = copy.deepcopy(regressor)
    told.white.copy_(torch.tensor(WHITE))
    path, gray = torch.tensor(SKIN_PATH), torch.ones(3)
    spreads = (told.spread, told.light_spread, told.white_spread)
    shares = (TONE_SPREAD, LIGHT_SPREAD, WHITE_SPREAD)
    for spread, along, (common, each) in zip(spreads, (path, gray, gray), shares, strict=True):
        spread.copy_(common**2 * torch.outer(along, along) + each**2 * torch.eye(3))
    return told


def learn_skin_tone(
    faces: PreparedFaces, rows: NDArray[np.int64], samples: SkinSamples, studios: set[str]
) -> SkinToneRegressor:
    """The regression over some prepared faces, each source's own exposure taken out.

    Args:
        faces: prepared faces.
        rows: (N,) those that were looked at.
        samples: what they show.
        studios: sources whose photos share one lamp.
    """
    source = np.array(["" if faces.drawn[row] else str(faces.names[row]).split("_")[0] for row in rows])
    weight = np.where(np.isin(source, list(studios)), STUDIO_WEIGHT, np.where(source == "", DRAWN_WEIGHT, 1.0))
    usable = samples.tones.isfinite().all(1)
    tones = samples.tones.clone()
    for name in set(source):
        inside = torch.from_numpy(source == name)
        tones[inside] -= tones[inside & usable].mean(0)
    return with_spreads(fit_skin_tone(samples.embeddings[usable], tones[usable], torch.from_numpy(weight)[usable]))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="prepared faces (gcnface prepare)")
    parser.add_argument("--studio", action="append", default=[], help="source (the name up to _) whose lamp is one")
    parser.add_argument("--drawn", type=int, default=700, help="drawn faces beside all photographs")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    faces = load_prepared(args.data)
    learn = ~faces.validation
    rows = np.concatenate([np.nonzero(learn & ~faces.drawn)[0], np.nonzero(learn & faces.drawn)[0][: args.drawn]])
    model = load_face_model()
    stage, networks = CoarseStage(model, load_regressor(layout_of(model)), None), (load_parser(), load_facenet())
    found = []
    for index, row in enumerate(rows):
        found.append(sample_skin(stage, *networks, faces.crop(row)))
        if index % 200 == 199:
            _log.info("looked at %d of %d faces", index + 1, len(rows))
    samples = SkinSamples(torch.stack([tone for tone, _ in found]), torch.stack([embedding for _, embedding in found]))
    regressor = learn_skin_tone(faces, rows, samples, set(args.studio))
    with staged(args.output.parent) as folder:
        save_file(half_state(regressor), folder / args.output.name)


if __name__ == "__main__":
    main()
