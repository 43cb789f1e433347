from flows.commands.generate import find_newest_crf
from storage import Identity
from storage.seals import TrainingManifest, seal_output


def test_the_newest_crf_of_a_bucket(gcs_root: str) -> None:
    root = f"{gcs_root}/generate"
    identity = Identity("distill", 1, {}, {"steps": 1})
    identity.write(root)
    seal_output(identity.url(root), TrainingManifest(objects={}, steps=1, workers=0, provenance={}))
    assert find_newest_crf(root) == identity.url(root)
