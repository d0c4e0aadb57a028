"""One file per optimizer, named like it: its settings and torch's functional form of it.

A function updates parameters in place, from ``(config, parameters, gradients, state, rate, traced)``: lists of tensors
of the same length, the state's lists by name, the learning rate as a scalar tensor, and whether the call is being
compiled, where the foreach form is fused with the rest of the step.
"""
