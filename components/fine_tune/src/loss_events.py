"""Losses as TensorBoard shows them."""

import time
from pathlib import Path
from typing import Any

from loss_curve import HeldOut, LossCurve, Trained


class LossEvents:
    """Event files in a folder: `loss`, `learning_rate` and `validation_loss`.

    `after` is the step that training goes on from: TensorBoard then forgets later ones, which a
    run that was killed wrote. Without a folder, nothing is shown.
    """

    def __init__(self, folder: Path | None, after: int = 0) -> None:
        self._writer: Any = None
        if folder is None:
            return
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - takes a second

        self._writer = SummaryWriter(str(folder), purge_step=after + 1 if after else None)

    def trained(self, one: Trained) -> None:
        """Show the loss of a step."""
        self._show("loss", one.loss, one.step)
        self._show("learning_rate", one.learning_rate, one.step)

    def held_out(self, look: HeldOut) -> None:
        """Show a look at the held-out images."""
        self._show("validation_loss", look.loss, look.step)

    def close(self) -> None:
        """Make sure that all of it is on disk."""
        if self._writer is not None:
            self._writer.close()

    def _show(self, name: str, value: float, step: int) -> None:
        if self._writer is not None:
            self._writer.add_scalar(name, value, step)


def write_events(folder: Path, curve: LossCurve) -> None:
    """Write whole curves to one file, whose name tells of no machine."""
    events = LossEvents(folder)
    for one in curve.train:
        events.trained(one)
    for look in curve.held_out:
        events.held_out(look)
    events.close()
    for file in folder.iterdir():
        file.rename(folder / f"events.out.tfevents.{int(time.time())}.fine_tune")
