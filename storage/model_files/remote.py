"""A model that is not on this machine: which files it consists of, by one listing and without reading them."""

import posixpath
from dataclasses import dataclass

from storage.identity import digest

WEIGHTS = ".safetensors"
READ = (WEIGHTS, ".json", ".txt", ".model")  # neither pickles nor code
PIPELINE_INDEX = "model_index.json"
DIFFUSERS_WEIGHTS = "diffusion_pytorch_model"


@dataclass(frozen=True)
class RemoteFile:
    """A file of a model.

    Args:
        name: Path from the model's folder.
        size: Size in bytes.
        state: Changes if the content does.
        checksum: As "md5:" or "crc32c:" and hex digits; other or empty if the server has none of these.
        sha256: Hex digits; empty if the server does not know it.
    """

    name: str
    size: int
    state: str
    checksum: str = ""
    sha256: str = ""

    @property
    def is_weights(self) -> bool:
        """Whether only computing needs the file: everything but configs and tokenizers."""
        return not self.name.endswith(READ[1:])


@dataclass(frozen=True)
class RemoteModel:
    """The files of a model at a URL.

    ``commit``: of a model on the hub; empty for others. ``single``: whether the URL is that of the only file.
    """

    url: str
    files: tuple[RemoteFile, ...]
    commit: str = ""
    single: bool = False

    @property
    def key(self) -> str:
        """Changes with the URL and with any file."""
        return digest([self.url, sorted((file.name, file.size, file.state) for file in self.files)])


def choose_names(names: list[str]) -> list[str]:
    """Choose the files that loading a model reads, from all paths in its folder.

    Those of a diffusers pipeline are model_index.json and the files of its components' folders; of one diffusers
    model, its config and weights; of others, the files that are directly in the folder.
    """
    readable = [name for name in names if name.endswith(READ)]
    if PIPELINE_INDEX in readable:
        return [name for name in readable if name == PIPELINE_INDEX or name.count("/") == 1]
    top = [name for name in readable if "/" not in name]
    if any(name.startswith(DIFFUSERS_WEIGHTS) for name in top):
        return [name for name in top if name == "config.json" or posixpath.basename(name).startswith(DIFFUSERS_WEIGHTS)]
    return top
