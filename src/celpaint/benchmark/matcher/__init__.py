"""The matcher measured in depth: on held-out drawings, on the example shot, from frame to frame, in time and memory."""
