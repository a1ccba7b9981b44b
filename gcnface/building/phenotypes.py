"""Random people in MakeHuman's terms: phenotype macros and local head changes, as offsets of the head cage.

How macros compose (MakeHuman): a macro target is named by what it combines, for example
(race, gender, age) or (gender, age, muscle, weight, height); its weight is the product of how far the person
is each of them, and each property interpolates linearly between the two anchors around its value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from gcnface.building.makehuman import MakeHumanData

RACES = ("african", "asian", "caucasian")
ANCHORS = {
    "gender": (("female", 0.0), ("male", 1.0)),
    "age": (("child", 0.1875), ("young", 0.5), ("old", 1.0)),
    "muscle": (("minmuscle", 0.0), ("averagemuscle", 0.5), ("maxmuscle", 1.0)),
    "weight": (("minweight", 0.0), ("averageweight", 0.5), ("maxweight", 1.0)),
    "height": (("minheight", 0.0), ("averageheight", 0.5), ("maxheight", 1.0)),
    "proportions": (("uncommonproportions", 0.0), ("averageproportions", 0.5), ("idealproportions", 1.0)),
}
LOCAL_CATEGORIES = ("head", "forehead", "eyebrows", "eyes", "nose", "cheek", "mouth", "chin", "ears", "neck")
HEAD_SHAPES = (
    "diamond", "invertedtriangular", "oval", "rectangular", "round", "square", "triangular"
)  # fmt: skip

# How strongly local changes are drawn beside 1; the first prefix that fits counts. Whole-head motions are removed by
# the alignment anyway, and the head-shape targets in full are caricatures.
LOCAL_STRENGTH = (
    ("head/head-trans", 0.0),
    ("head/head-scale", 0.45),
    ("head/head-angle", 0.25),
    ("head/head-fat", 1.3),
    ("head/", 0.5),
    ("forehead/forehead-nubian", 0.25),
    ("forehead/", 0.6),
    ("ears/", 0.6),
    ("chin/", 0.7),
    ("neck/measure", 0.2),
    ("neck/neck-scale-vert", 0.2),
    ("neck/neck-double", 1.2),
    ("neck/", 0.5),
    ("asym/", 0.3),
)


@dataclass(frozen=True)
class ShapeTargets:
    """Offsets of the head cage, in mm.

    Attributes:
        macro: (M, Vc, 3) macro targets.
        macro_names: for each the properties it combines, ("caucasian", "male", "young").
        local: (L, Vc, 3) local targets; entry 2 k is the negative and 2 k + 1 the positive end of change k.
        local_names: (L,) their names.
    """

    macro: np.ndarray
    macro_names: tuple[tuple[str, ...], ...]
    local: np.ndarray
    local_names: tuple[str, ...]


@dataclass(frozen=True)
class SamplingConfig:
    """How people are drawn.

    Attributes:
        count: people to draw.
        seed: of the random generator.
        local_rate: share of the local changes that a person has.
        local_spread: standard deviation of a local change that is there (1 = the target in full).
        asymmetry: standard deviation of the difference between left and right changes.
    """

    count: int = 4000
    seed: int = 0
    local_rate: float = 0.5
    local_spread: float = 0.3
    asymmetry: float = 0.08


def load_targets(data: MakeHumanData, base_index: np.ndarray, vertex_count: int) -> ShapeTargets:
    """Read every macro and local target that moves the head.

    Args:
        data: the MakeHuman data.
        base_index: (Vc,) vertices of the base mesh that are the cage's.
        vertex_count: vertices of the base mesh.
    """

    def read(name: str) -> np.ndarray:
        return data.target(name, vertex_count)[base_index] * 100.0

    names = dict(_macro_files())
    macro = np.stack([read(file) for file in names.values()]).astype(np.float32)
    pairs = list(_local_pairs(data))
    local = np.stack([read(name) if name else np.zeros_like(macro[0]) for pair in pairs for name in pair])
    moving = np.abs(local).max((1, 2)).reshape(-1, 2).max(1) > 0.05
    kept = np.repeat(moving, 2)
    local_names = tuple(name for name, keep in zip((n for p in pairs for n in p), kept, strict=True) if keep)
    return ShapeTargets(macro, tuple(names), local[kept].astype(np.float32), local_names)


def draw_people(targets: ShapeTargets, config: SamplingConfig) -> np.ndarray:
    """Cage offsets (count, Vc, 3) in mm of random people from the base mesh."""
    rng = np.random.default_rng(config.seed)
    macro = macro_weights(targets.macro_names, draw_properties(rng, config.count))
    local = _local_weights(targets.local_names, rng, config)
    flat = macro.astype(np.float32) @ targets.macro.reshape(len(targets.macro), -1)
    flat += local.astype(np.float32) @ targets.local.reshape(len(targets.local), -1)
    return flat.reshape(config.count, -1, 3)


def draw_properties(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Random values (count,) of every property: mostly adults, all races and their mixtures."""
    race = rng.dirichlet((0.6, 0.6, 0.6), count)
    age = np.where(rng.random(count) < 0.08, rng.uniform(0.25, 0.4, count), rng.beta(1.3, 1.6, count) * 0.55 + 0.4)
    values = {name: race[:, i] for i, name in enumerate(RACES)}
    values |= {"gender": np.clip(rng.beta(0.6, 0.6, count), 0.0, 1.0), "age": age}
    values |= {name: np.clip(rng.normal(0.5, 0.2, count), 0.0, 1.0) for name in ("muscle", "weight")}
    values |= {name: np.clip(rng.normal(0.5, 0.1, count), 0.0, 1.0) for name in ("height", "proportions")}
    return values


def macro_weights(names: tuple[tuple[str, ...], ...], properties: dict[str, np.ndarray]) -> np.ndarray:
    """Weights (B, M) of the macro targets for property values (B,) each."""
    level = {race: properties[race] for race in RACES}
    for name, anchors in ANCHORS.items():
        knots = np.array([knot for _, knot in anchors])
        for i, (label, _) in enumerate(anchors):
            level[label] = np.interp(properties[name], knots, np.eye(len(knots))[i])
    return np.stack([np.prod([level[label] for label in combination], axis=0) for combination in names], axis=1)


def _macro_files() -> Iterator[tuple[tuple[str, ...], str]]:
    def labels(name: str) -> tuple[str, ...]:
        return tuple(
            label for label, _ in ANCHORS[name] if not label.startswith("averageh") and label != "averageproportions"
        )

    for race, gender, age in product(RACES, labels("gender"), labels("age")):
        yield (race, gender, age), f"macrodetails/{race}-{gender}-{age}"
    body = list(product(labels("gender"), labels("age"), labels("muscle"), labels("weight")))
    for names in body:
        yield names, "macrodetails/universal-" + "-".join(names)
    for folder in ("height", "proportions"):
        for names, label in product(body, labels(folder)):
            yield (*names, label), f"macrodetails/{folder}/{'-'.join(names)}-{label}"


def _local_pairs(data: MakeHumanData) -> Iterator[tuple[str, str]]:
    for category in LOCAL_CATEGORIES:
        yield from data.opposites(category)
    for shape in HEAD_SHAPES:
        yield "", f"head/head-{shape}"
    for name in data.target_names("asym"):
        if name.endswith("-l") and not name.startswith("asym/asymm"):
            yield name[:-1] + "r", name


def _local_weights(names: tuple[str, ...], rng: np.random.Generator, config: SamplingConfig) -> np.ndarray:
    """Weights (count, L): sparse, left and right alike but for a little asymmetry."""
    shared: dict[str, np.ndarray] = {}
    weights = np.zeros((config.count, len(names)))
    for k in range(0, len(names), 2):
        value = shared.setdefault(_sideless(names[k + 1]), _sparse_normal(rng, config))
        scale = next((strength for prefix, strength in LOCAL_STRENGTH if names[k + 1].startswith(prefix)), 1.0)
        noise = config.asymmetry * rng.normal(size=config.count) if _is_sided(names[k + 1]) else 0.0
        signed = np.clip(scale * (value + noise), -1.0, 1.0)
        weights[:, k], weights[:, k + 1] = np.maximum(-signed, 0.0), np.maximum(signed, 0.0)
    return weights


def _sparse_normal(rng: np.random.Generator, config: SamplingConfig) -> np.ndarray:
    present = rng.random(config.count) < config.local_rate
    return np.where(present, rng.normal(0.0, config.local_spread, config.count), 0.0)


def _is_sided(name: str) -> bool:
    return name.split("/")[1][:2] in ("l-", "r-")


def _sideless(name: str) -> str:
    return name.replace("/l-", "/").replace("/r-", "/") if _is_sided(name) else name
