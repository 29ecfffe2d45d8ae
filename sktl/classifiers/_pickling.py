"""A fitted network as plan and weights, and back."""

import warnings
from typing import Any

from .._random import torch_seed
from .._validation import resolve_device
from ._build import Plan, build_module
from ._module import TransferModule

__all__ = ["rebuilt", "without_net"]


def without_net(state: dict[str, Any]) -> dict[str, Any]:
    """State of an estimator with the weights of its net instead of the net; changes `state`."""
    net = state.pop("net_", None)
    state.pop("backbone_", None)
    if net is not None:
        module = net.module_
        state["_trained"] = {
            "weights": {name: value.cpu() for name, value in module.state_dict().items()},
            "n_frozen": module.n_frozen,
            "frozen_names": sorted(module.frozen_names),
            "order_seed": net.order_seed,
        }
    return state


def rebuilt(plan: Plan, trained: dict[str, Any], device: Any) -> TransferModule:
    """Network of a plan with those weights, on the CPU where `device` is not here."""
    with torch_seed(0):
        module = build_module(plan, plan.body())
    module.load_state_dict(trained["weights"])
    module.freeze(trained["n_frozen"], trained["frozen_names"])
    try:
        module.to(resolve_device(device))
    except ValueError:
        warnings.warn(f"device={device!r} is not here; using the CPU.", stacklevel=3)
    return module.eval()
