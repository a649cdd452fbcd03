"""An animation synthesizer: openly licensed drawings in, films whose every pixel is known out."""

from celpaint.data.synthetic.art import Art, Split, toy_art
from celpaint.data.synthetic.compose import Synthesizer, validation_clips
from celpaint.data.synthetic.spec import HANDS, ClipSpec

__all__ = ["HANDS", "Art", "ClipSpec", "Split", "Synthesizer", "toy_art", "validation_clips"]
