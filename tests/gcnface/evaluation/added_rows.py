"""One row more in every registry, and then the command line: what `test_registries` runs in a process of its own."""

import sys

import numpy as np

from gcnface.evaluation import registries
from gcnface.evaluation.registries import MethodRow, MetricRow, NetworkRow, ProtocolRow, ViewRow

HERE = "tests.gcnface.evaluation.added_rows:"


def grey(reconstructor):
    """A method that paints every face grey."""
    from gcnface.evaluation.records import MethodResult

    def paint(fitted):
        shading = fitted.view.shading[0].cpu()
        return MethodResult(shading * 0 + 0.3, shading)

    return paint


def color_network(facenet, file):
    """An identity network that knows people by their mean color."""

    def embed(portraits):
        means = np.stack([portrait.picture.mean((0, 1)) for portrait in portraits])
        return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)

    return embed


def largest_difference():
    """A metric of pictures."""
    return lambda drawn, true, mask: {"face": float(np.abs(drawn - true).max())}


def protocol(reconstructor, methods, evaluated):
    """A protocol that every method passes alike."""
    from gcnface.evaluation.records import Measured, Metric

    return [Measured(name, Metric("psnr", "dusk", 10.0), 12.5) for name in methods]


def add_rows():
    """A row in each registry."""
    registries.METHODS["grey"] = MethodRow("grey", "grey paint", "one grey", HERE + "grey")
    network = NetworkRow("tint", "Tint", "knows people by their color", HERE + "color_network")
    registries.IDENTITY_NETWORKS["tint"] = network
    registries.METRICS["most"] = MetricRow("most", "worst pixel", "", HERE + "largest_difference", higher=False)
    views = (ViewRow("dusk", "at dusk, {yaw:g}°", "After sunset", ("psnr",)),)
    row = ProtocolRow("dusk", "dusk", "look at the first N photos at dusk", HERE + "protocol", views)
    registries.PROTOCOLS["dusk"] = row


if __name__ == "__main__":
    add_rows()
    from gcnface import cli

    sys.exit(cli.main(sys.argv[1:]))
