"""A run that is given more steps, or another optimizer or schedule: it trains by them, or says why not."""

from pathlib import Path

import pytest
import torch
import yaml
from runs import contents, differences, stopped

from lightning_wavenet.cli.main import main
from lightning_wavenet.tasks.schedules import WarmupCosine, last_step

COSINE = "lightning_wavenet.tasks.schedules.WarmupCosine"


def refused(arguments: list[str], capsys) -> str:
    capsys.readouterr()
    assert stopped(arguments) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("wavenet: error:")]
    return line


def rewrite(schedule: dict | None, steps: int, path: str = "tiny.yaml") -> None:
    """The experiment with another schedule and length."""
    config = yaml.safe_load(Path(path).read_text())
    config["model"]["init_args"]["lr_scheduler"] = schedule
    config["trainer"] |= {"max_steps": steps, "accumulate_grad_batches": 1}
    Path(path).write_text(yaml.safe_dump(config))


def scheduled(name: str, **options) -> dict:
    return {"class_path": name, "init_args": options}


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [
        (scheduled(COSINE, total_steps="${trainer.max_steps}", warmup_steps=2), 7),
        (scheduled(COSINE, total_steps="${trainer.max_steps}", warmup_steps=1), 11),
        (scheduled("torch.optim.lr_scheduler.PolynomialLR", total_iters="${trainer.max_steps}"), 6),
        (scheduled("torch.optim.lr_scheduler.OneCycleLR", max_lr=0.1, total_steps="${trainer.max_steps}"), 8),
        (
            scheduled("torch.optim.lr_scheduler.LinearLR", end_factor=0.0, total_iters="${trainer.max_steps}"),
            5,
        ),
    ],
)
def test_a_saved_schedule_too_short_for_the_training_is_refused(fit, schedule, steps, capsys):
    rewrite(schedule, steps)
    main([*fit, "--run", "run"])
    before = Path("run/checkpoints/last.ckpt").read_bytes()
    longer = ["fit", "--config", "run/config.yaml", "--trainer.max_steps", f"{steps + 5}"]
    for more in (["--run", "run", "--resume"], ["--run", "new"]):
        line = refused([*longer, *more], capsys)
        assert f"ends at step {steps}" in line, line
        assert f"the training at step {steps + 5}" in line
        assert "--model.lr_scheduler.total_" in line
    assert Path("run/checkpoints/last.ckpt").read_bytes() == before
    assert not Path("new").exists()
    if schedule["class_path"] == COSINE:
        main([*longer, "--run", "run", "--resume", *line.split(": say ")[1].split()])
        assert contents("run")["global_step"] == steps + 5


@pytest.mark.parametrize(("steps", "more"), [(6, 4), (9, 9)])
def test_a_schedule_without_a_length_takes_the_trainers(fit, steps, more):
    rewrite(scheduled(COSINE, warmup_steps=1), steps)
    main([*fit, "--run", "run"])
    before = contents("run")
    main(["fit", "--config", "run/config.yaml", "--trainer.max_steps", f"{steps + more}", "--run", "run", "--resume"])
    after = contents("run")
    assert after["global_step"] == steps + more
    assert differences(before["ema"], after["ema"])


def test_a_schedule_made_shorter_than_the_training_is_told_of_and_resumed(fit, capsys):
    rewrite(scheduled(COSINE, total_steps=5, warmup_steps=1), 9)
    main([*fit, "--run", "run"])
    assert "WarmupCosine ends at step 5 (total_steps 5), and the training at step 9" in capsys.readouterr().out
    main(["fit", "--config", "run/config.yaml", "--run", "again"])
    assert not differences(contents("run"), contents("again"))


@pytest.mark.parametrize(
    ("option", "there", "here"),
    [
        ("optimizer.lr", "0.02", "0.03"),
        ("optimizer.weight_decay", "0.0", "0.25"),
        ("optimizer.betas", "(0.9, 0.999)", "(0.8, 0.9)"),
    ],
)
def test_other_options_of_the_optimizer_are_refused_with_both_values(fit, option, there, here, capsys):
    main([*fit, "--run", "run", "--trainer.max_steps", "3"])
    before = Path("run/checkpoints/last.ckpt").read_bytes()
    given = here.replace("(", "[").replace(")", "]")
    line = refused([*fit, "--run", "run", "--resume", f"--model.{option}={given}"], capsys)
    assert f"the checkpoint has {option} {there}, this run {here}" in line
    assert "--weights" in line
    assert Path("run/checkpoints/last.ckpt").read_bytes() == before


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (scheduled("torch.optim.lr_scheduler.StepLR", step_size=3), None, "lr_scheduler StepLR, this run None"),
        (
            None,
            scheduled("torch.optim.lr_scheduler.ExponentialLR", gamma=0.5),
            "lr_scheduler None, this run ExponentialLR",
        ),
        (
            scheduled("torch.optim.lr_scheduler.StepLR", step_size=3),
            scheduled("torch.optim.lr_scheduler.StepLR", step_size=4),
            "lr_scheduler.step_size 3, this run 4",
        ),
        (
            scheduled("torch.optim.lr_scheduler.CosineAnnealingLR", T_max=6),
            scheduled("torch.optim.lr_scheduler.CosineAnnealingLR", T_max=12),
            "lr_scheduler.T_max 6, this run 12",
        ),
        (
            scheduled("lightning.pytorch.cli.ReduceLROnPlateau", monitor="val/bits", factor=0.5),
            scheduled("lightning.pytorch.cli.ReduceLROnPlateau", monitor="val/bits", factor=0.25),
            "lr_scheduler.factor 0.5, this run 0.25",
        ),
        (
            scheduled("torch.optim.lr_scheduler.OneCycleLR", max_lr=0.1, total_steps=50),
            scheduled("torch.optim.lr_scheduler.OneCycleLR", max_lr=0.2, total_steps=50),
            "lr_scheduler.max_lr 0.1, this run 0.2",
        ),
    ],
)
def test_another_schedule_is_refused_with_both(fit, one, other, said, capsys):
    for schedule in (one, other):
        if schedule is not None:
            schedule["class_path"] = schedule["class_path"].replace("lightning.pytorch", "pytorch_lightning")
    rewrite(one, 4)
    main([*fit, "--run", "run"])
    main([*fit, "--run", "run", "--resume", "--trainer.max_steps", "6"])
    rewrite(other, 8)
    assert f"the checkpoint has {said}" in refused([*fit, "--run", "run", "--resume"], capsys)


def test_the_end_of_a_schedule():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    schedulers = torch.optim.lr_scheduler
    assert last_step(WarmupCosine(optimizer, 30)).step == 30
    assert last_step(WarmupCosine(optimizer, -1)) is None
    assert last_step(schedulers.PolynomialLR(optimizer, 17)).step == 17
    assert last_step(schedulers.LinearLR(optimizer, 0.1, 1.0, 17)) is None
    assert last_step(schedulers.StepLR(optimizer, 3)) is None
