"""Names of the 1000 ImageNet classes."""

from __future__ import annotations

from functools import cache

from .packages import fetch


@cache
def class_names() -> tuple[str, ...]:
    """Return a short name for each of the 1000 classes, in the networks' order.

    The names come from the word lists in package ``timm``: the first word of each synset.
    """
    folder = fetch("timm") / "timm" / "data" / "_info"
    lemmas = dict(
        line.split("\t", 1)
        for line in (folder / "imagenet_synset_to_lemma.txt").read_text("utf-8").splitlines()
        if "\t" in line
    )
    synsets = (folder / "imagenet_synsets.txt").read_text("utf-8").split()
    return tuple(lemmas[synset].split(",")[0].strip() for synset in synsets)
