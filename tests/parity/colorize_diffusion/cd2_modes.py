"""The modes that the official program was run in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from celpaint.methods.colorize_diffusion.conditioning import Controls, Mode, blank_hints, condition
from celpaint.methods.colorize_diffusion.networks import Networks
from celpaint.methods.colorize_diffusion.pictures import Pictures
from celpaint.methods.colorize_diffusion.semantics import AttentionScales, Official
from celpaint.models.colorize_diffusion.conditions import Conditions, SplitContext


@dataclass(frozen=True)
class Setting:
    """Arguments of one mode."""

    mode: Mode
    controls: Controls = field(default_factory=Controls)
    background_picture: bool = False
    split_alone: bool = False


SCALED = AttentionScales(encoder=0.5, color=0.6, semantics=0.7)
MODES = {
    "vanilla": Setting(Mode.VANILLA),
    "vanilla_scaled": Setting(Mode.VANILLA, Controls(attention=SCALED, sketch=1.3)),
    "style": Setting(Mode.STYLE),
    "style_img": Setting(Mode.STYLE, Controls(merge=0.3), background_picture=True),
    "bg": Setting(Mode.BACKGROUND),
    "bg_img": Setting(Mode.BACKGROUND, background_picture=True),
    "fg": Setting(Mode.BACKGROUND, Controls(foreground=0.6), split_alone=True),
    "full": Setting(Mode.FULL),
    "full_img": Setting(
        Mode.FULL,
        Controls(
            attention=SCALED,
            sketch=1.2,
            merge=0.3,
            foreground=0.8,
            background=0.9,
            background_features=0.7,
            figure_threshold=0.3,
        ),
        background_picture=True,
    ),
}


@dataclass(frozen=True)
class OfficialMode:
    """A mode's conditions, and the hints of an empty sketch."""

    conditions: Conditions
    blank: tuple[Tensor, ...]

    @classmethod
    @torch.inference_mode()
    def make(cls, networks: Networks, pictures: Pictures, setting: Setting, official: Official) -> OfficialMode:
        """Encode everything."""
        conditions = condition(networks, pictures, setting.mode, setting.controls, official)
        if setting.split_alone:  # the official "foreground enhance": no LoRA, no injection, the reference twice
            context = conditions.context
            assert isinstance(context, SplitContext)
            context = replace(context, background=context.foreground, adapted=False)
            conditions = replace(conditions, context=context, injected=None)
        return cls(conditions, blank_hints(networks, pictures.size, setting.controls.sketch))

    @property
    def branches(self) -> tuple[Conditions, Conditions, Conditions]:
        """Conditional, without reference, without sketch."""
        given = self.conditions
        return given, given.without_reference(), given.with_hints(self.blank)
