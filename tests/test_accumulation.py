"""Batches over which gradients are accumulated come to what one large batch comes to."""

from pathlib import Path

import torch

from lightning_wavenet.cli.main import main


def test_two_batches_of_two_are_one_batch_of_four(fit):
    fit += ["--trainer.max_steps", "6", "--model.optimizer", "torch.optim.SGD", "--run"]
    shapes = {"one": (4, 1), "two": (2, 2), "less": (2, 1)}
    for name, (batch, accumulated) in shapes.items():
        options = [f"--data.batch_size={batch}", f"--trainer.accumulate_grad_batches={accumulated}"]
        # Twelve batches of a step or two each: not yet the end of an epoch, which ends a window as well.
        main([*fit, name, *options, "--model.optimizer.lr", "0.5"])
    one, two, less = (
        torch.load(Path(name) / "checkpoints" / "last.ckpt", weights_only=True)["ema"]["weights"] for name in shapes
    )
    for name in one:
        torch.testing.assert_close(one[name], two[name])
    assert any(not torch.allclose(one[name], less[name], rtol=1e-2) for name in one)
