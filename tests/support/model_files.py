"""The files of a teacher's folder, in little: what loading reads, and what it must not."""

FILES = {
    "model_index.json": b"{}",
    "unet/config.json": b'{"a": 1}',
    "unet/diffusion_pytorch_model.safetensors": b"weights" * 1000,
    "unet/diffusion_pytorch_model.bin": b"a pickle",
    "unet/code.py": b"code",
    "all.safetensors": b"another copy",
}
